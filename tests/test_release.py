"A release is ready when one version stands everywhere, and the package page of it leads somewhere."

import re, shutil, subprocess, sys
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
import release

STATES = 'settings.ini', 'CITATION.cff', 'CHANGELOG.md', 'dnas_nb/__init__.py'


@pytest.fixture
def project(tmp_path):
    "A copy of what states a version."
    (tmp_path / 'dnas_nb').mkdir()
    for name in STATES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(path, old, new):
    text = path.read_text(encoding='utf-8')
    assert old in text
    path.write_text(text.replace(old, new), encoding='utf-8')


def test_the_version_is_one():
    assert release.faults(ROOT) == []


def test_a_release_needs_a_date_and_its_tag(project):
    version = release.versions(project)['settings']
    assert 'no date' in release.faults(project, f'v{version}')[0]
    change(project / 'CHANGELOG.md', f'## {version} (unreleased)', f'## {version} (2026-12-01)')
    assert release.faults(project, f'v{version}') == []
    assert release.faults(project, 'v9.9.9') == [f'the tag is v9.9.9, the version {version}']
    date, text = release.notes(project, version)
    assert date == '2026-12-01' and text and '## ' not in text


@pytest.mark.parametrize('name', STATES)
def test_a_version_that_was_forgotten(project, name):
    change(project / name, release.versions(project)['settings'], '0.0.7')
    assert release.faults(project)


def test_the_package_page():
    "No link of the long description is relative, and pictures are addresses of files."
    code = 'import setuptools; setuptools.setup = lambda **k: print(k["long_description"]); import setup'
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    targets = re.findall(r'\]\(([^)\s]+)', done.stdout)
    assert len(targets) > 100 and all(re.match(r'https://|#', t) for t in targets)
    pictures = re.findall(r'!\[[^\]]+\]\(([^)\s]+)', done.stdout)
    assert pictures and all(p.startswith('https://raw.githubusercontent.com/') for p in pictures)
    for target in targets:  # at this release: what is named is in the project
        if found := re.match(r'https://(?:raw\.)?github\S+?/v[\d.]+/([^#]+)', target):
            assert (ROOT / found[1]).exists(), target


def test_every_extra_is_explained():
    settings = (ROOT / 'settings.ini').read_text(encoding='utf-8')
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    extras = re.findall(r'^(\w+)_requirements = ', settings, re.M)
    rows = re.findall(r'^\| (`[^|]*) \|', readme, re.M)
    assert len(extras) > 6
    for extra in extras:
        assert f"'{extra}'" in setup and any(f'`{extra}`' in row for row in rows), extra
