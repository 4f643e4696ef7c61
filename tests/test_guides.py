"""Guides, as a reader follows them: what their pages tell to type, in an empty folder, with the wheel installed.

Every guide is read here: no cell too many, a picture early, options that exist. The quickest is followed too; `DNAS_FLAGS=guides` follows
all of them, with the extras that they ask for (ten minutes; the minutes of each are printed with `-s`).
"""

import json, os, re, time

import pytest

import guides
from conftest import NBS, ROOT
from dnas_nb.command import arguments
from dnas_nb.running import cli
from wheels import run, told

GUIDES = sorted((NBS / 'guides').glob('*.ipynb'))
QUICKEST = '81_own_network'
ALL = 'guides' in os.environ.get('DNAS_FLAGS', '')
names = pytest.mark.parametrize('guide', GUIDES, ids=lambda path: path.stem)


def cells(guide):
    return json.loads(guide.read_text(encoding='utf-8'))['cells']


@names
def test_a_guide_is_short_and_shows_something_early(guide):
    "A picture, or a table of what was made, within the first five cells; no code that a reader does not see, apart from where it runs"
    found = cells(guide)
    assert len(found) <= 30
    early = [out for cell in found[:5] for out in cell.get('outputs', [])]
    assert any('image/png' in out.get('data', {}) for out in early)
    hidden = [c for c in found if '#| hide' in ''.join(c['source']) and c['cell_type'] == 'code']
    assert len(hidden) <= 1


@names
def test_every_option_that_a_guide_names_exists(guide):
    for name, *words in guides.commands(guide):
        known = {a.option for a in arguments(getattr(cli, name)) if not a.word} | {'--help', '--version'}
        asked = [word.partition('=')[0] for word in words if word.startswith('--')]
        assert set(asked) <= known, f'{name}: {set(asked) - known}'


def test_what_is_taken_out(tmp_path):
    "Hidden cells and cells for a GPU are not; blocks of bash are not run; an installation asks for extras"
    text = 'Type\n```sh\npip install "dnas_nb[export,study]"\n```\n```bash\ndnas_search \\\n  --epochs 9\n```\n'
    sources = [('markdown', text), ('code', '#| hide\nx = 1'), ('code', '#| cuda\nx = 2'), ('code', 'x = 3')]
    nb = dict(cells=[dict(cell_type=k, source=s.splitlines(True)) for k, s in sources])
    path = tmp_path / 'guide.ipynb'
    path.write_text(json.dumps(nb))
    assert [step.kind for step in guides.steps(path)] == ['sh', 'bash', 'python']
    assert guides.extras(path) == ['export', 'study']
    assert guides.commands(path) == [['dnas_search', '--epochs', '9']]


@pytest.mark.parametrize('text, well', [('x = 1', True), ('x = nothing', False)])
def test_following_stops_at_the_first_failure(tmp_path, text, well):
    import sys

    nb = dict(cells=[dict(cell_type='code', source=[text]),
                     dict(cell_type='markdown', source=['```sh\n', 'echo done > said\n', '```\n'])])
    path = tmp_path / 'guide.ipynb'
    path.write_text(json.dumps(nb))
    done = guides.follow(path, sys.executable, tmp_path, dict(os.environ))
    assert (done.returncode == 0) is well is (tmp_path / 'said').exists()


def with_extras(here, built, guide):
    "The environment of the wheel, and what a guide asks for besides"
    extras = guides.extras(guide)
    python = here / 'venv' / 'bin' / 'python'
    if extras:
        import sys

        wheel = f'{built[1]}[{",".join(extras)}]'
        pip = [sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-input']
        done = run(*pip, '--no-compile', '--disable-pip-version-check', wheel, cwd=here)
        assert done.returncode == 0, told(done)
    return python


@names
@pytest.mark.xdist_group('wheel-newest')
def test_a_guide_ends_well(guide, environment, built, tmp_path):
    "All its steps, one after the other"
    if not ALL and guide.stem != QUICKEST:
        pytest.skip('all guides: DNAS_FLAGS=guides')
    here = environment('newest')
    python = with_extras(here, built, guide)
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'DNAS_DATA')}
    begun = time.monotonic()
    done = guides.follow(guide, python, tmp_path, env | dict(OMP_NUM_THREADS='1'))
    print(f'{guide.stem}: {(time.monotonic() - begun) / 60:.1f} minutes')
    assert done.returncode == 0, told(done)
