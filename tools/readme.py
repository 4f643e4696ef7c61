"Write README.md from nbs/index.ipynb; pictures go to docs/images/. `python tools/readme.py [project folder]`"

import base64, json, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = '<!-- generated from nbs/index.ipynb by `make export`: edit the notebook -->\n\n'
HIDE, QUIET = ('hide', 'default_exp', 'export', 'exporti'), re.compile(r'^#\|.*\n?', re.M)


def code(cell, images, root) -> str:
    "Source and outputs of one code cell as Markdown."
    src = ''.join(cell['source'])
    directives = dict(re.findall(r'^#\|[ \t]*([\w-]+)[ \t]*:?[ \t]*(.*)$', src, re.M))
    if any(d in directives for d in HIDE):
        return ''
    echo = directives.get('echo') != 'false' and 'hide_input' not in directives
    parts = [f'```python\n{QUIET.sub("", src).strip()}\n```'] if echo else []
    for out in cell.get('outputs', []) if 'hide_output' not in directives else []:
        data = out.get('data', {})
        if 'image/png' in data:
            name, alt = (
                f'{directives.get("label") or "index-" + cell["id"]}.png',
                directives.get('fig-alt') or 'output of the code above',
            )
            images[name] = base64.b64decode(''.join(data['image/png']))
            parts.append(f'![{alt}](docs/images/{name})')
        elif 'text/markdown' in data:
            parts.append(''.join(data['text/markdown']).strip())
        else:
            parts.append(
                '```text\n'
                + ''.join(out.get('text') or data.get('text/plain', '')).strip()
                + '\n```'
            )
    return '\n\n'.join(parts)


def readme(root: Path):
    "The text of README.md and its pictures, name -> bytes."
    nb, images = json.loads((root / 'nbs' / 'index.ipynb').read_text(encoding='utf-8')), {}
    parts = [
        ''.join(c['source']).strip() if c['cell_type'] == 'markdown' else code(c, images, root)
        for c in nb['cells']
    ]
    text = '\n\n'.join(p for p in parts if p) + '\n'
    return (
        HEADER
        + re.sub(
            r'\]\((?!https?:|#|/|\.\.|docs/)([\w/]+\.ipynb)',
            r'](nbs/\1',
            text.replace('](../', ']('),
        ),
        images,
    )


def write(root: Path):
    text, images = readme(root)
    (root / 'README.md').write_text(text, encoding='utf-8')
    folder = root / 'docs' / 'images'
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob('index-*.png'):
        if old.name not in images:
            old.unlink()
    for name, data in images.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != data:
            (folder / name).write_bytes(data)


if __name__ == '__main__':
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
