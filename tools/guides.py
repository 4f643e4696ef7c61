"""Follow guides as a reader would: `python tools/guides.py nbs/guides/80_own_pictures.ipynb ...` (all of nbs/guides/ when none is named).

What is taken out of a guide is what its page shows: cells of Python, and commands in blocks that begin with ```sh. They run one after the
other in an empty folder. Blocks of ```bash show commands at full size, which take longer than a test may: they do not
run, their options are checked.
"""

import argparse, json, os, re, shlex, subprocess, sys, tempfile, time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ROOT / 'nbs' / 'guides'
HIDDEN = re.compile(r'^#\|\s*(hide|cuda|echo:\s*false|eval:\s*false)\s*$', re.M)
BLOCK = re.compile(r'^```(sh|bash)\n(.*?)^```', re.M | re.S)
INSTALL = re.compile(r'pip install "?dnas_nb(?:\[([\w,]+)\])?"?')
LIMIT = 600  # seconds for a guide


@dataclass(frozen=True)
class Step:
    "Something that a reader types"

    kind: str  # 'python', 'sh', or 'bash': shown only
    text: str


def steps(path) -> list:  # of `Step`
    "What a guide shows, in its order. Hidden cells are on no page, cells for a GPU need one"
    out = []
    for cell in json.loads(Path(path).read_text(encoding='utf-8'))['cells']:
        text = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            out += [Step(*found) for found in BLOCK.findall(text)]
        elif text.strip() and not HIDDEN.search(text):
            out.append(Step('python', text))
    return out


def installs(step) -> bool:
    "Is this the installation, which comes before the first step?"
    return step.kind == 'sh' and bool(INSTALL.search(step.text))


def extras(path) -> list:  # of names
    "What a guide asks for besides the package: export, study, live ..."
    found = [INSTALL.search(step.text) for step in steps(path) if installs(step)]
    return sorted({name for match in found if match[1] for name in match[1].split(',')})


def commands(path) -> list:  # of lists of words
    "Every call of a dnas_ command in the blocks of a guide, those at full size too"
    calls = []
    for step in steps(path):
        if step.kind == 'python':
            continue
        joined = step.text.replace('\\\n', ' ')
        for line in joined.splitlines():
            words = shlex.split(line, comments=True)
            starts = [i for i, word in enumerate(words) if re.fullmatch(r'dnas_\w+', Path(word).name)]
            if starts and 'pip' not in words:
                calls.append(words[starts[0] :])
    return calls


FOLLOW = '''
import json, os, subprocess, sys
here = {'__name__': '__main__'}
for number, (kind, text) in enumerate(json.load(open(sys.argv[1], encoding='utf-8'))):
    print(f'--- step {number}, {kind}', flush=True)
    if text.startswith('%%writefile '):
        first, _, rest = text.partition('\\n')
        open(first.split()[1], 'w', encoding='utf-8').write(rest)
    elif kind == 'python':
        exec(compile(text, f'step {number}', 'exec'), here)
    if kind == 'python':
        continue
    done = subprocess.run(['sh', '-ec', text])
    if done.returncode:
        sys.exit(f'step {number} ended with {done.returncode}:\\n{text}')
'''


def follow(path, python, folder, env) -> subprocess.CompletedProcess:
    "Run the steps of a guide in a folder, by a Python whose package and commands are used"
    todo = [(s.kind, s.text) for s in steps(path) if s.kind != 'bash' and not installs(s)]
    script, listed = Path(folder) / 'follow.py', Path(folder) / 'steps.json'
    script.write_text(FOLLOW, encoding='utf-8')
    listed.write_text(json.dumps(todo), encoding='utf-8')
    where = os.pathsep.join([str(Path(python).parent), env.get('PATH', '')])
    return subprocess.run(
        [str(python), str(script), str(listed)],
        cwd=folder,
        env={**env, 'PATH': where, 'MPLBACKEND': 'agg', 'TQDM_DISABLE': '1'},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def main():
    p = argparse.ArgumentParser(description='Follow guides, each in an empty folder.')
    p.add_argument('guides', nargs='*', type=Path, help='all of nbs/guides/ when none is named')
    p.add_argument('--python', default=sys.executable, help='of the environment with the package')
    given = p.parse_args()
    failed = 0
    for path in given.guides or sorted(GUIDES.glob('*.ipynb')):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            done = follow(path, given.python, folder, dict(os.environ))
        minutes = (time.monotonic() - begun) / 60
        print(f'{path.stem:24} {"ends well" if not done.returncode else "FAILED"}, {minutes:.1f} minutes')
        if done.returncode:
            failed = 1
            print(done.stdout[-2000:], done.stderr[-3000:], sep='\n')
    return failed


if __name__ == '__main__':
    sys.exit(main())
