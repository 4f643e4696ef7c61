"Domains by name: what commands know, and what a run remembers of it."

import json, sys

import numpy as np
import pytest
from conftest import NBS, fails, module_from
import warm

from dnas_nb.core import UserError
from dnas_nb.domains.catalogue import CATALOGUE, domain
from dnas_nb.domains.domain import blind
from dnas_nb.domains.graphs import graph_data
from dnas_nb.domains.graphspace import graph_table
from dnas_nb.domains.modalities import modal_data
from dnas_nb.domains.series import series_data
from dnas_nb.domains.text import text_data
from dnas_nb.plugins import load_plugin, loaded_plugins
from dnas_nb.running.experiment import run
from dnas_nb.running.identity import space_named

TINY = dict(data='twin', space='twin', method='drnas', batch=16, device='cpu', report=False)


def test_a_domain_is_searched_by_name_and_goes_on(tmp_path):
    load_plugin('domains')
    assert 'domains' in loaded_plugins()  # so that workers know the names
    whole = run(tmp_path / 'whole', epochs=2, **TINY)
    assert whole.genotype.space == 'twin'
    told = json.loads((tmp_path / 'whole' / 'run.json').read_text())
    assert told['own']['plugin'] == dict(space='domains'), told['own']

    def stop(state, s):
        if state.epoch == 1:
            raise KeyboardInterrupt

    try:
        run(tmp_path / 'cut', epochs=2, on_epoch=stop, **TINY)
    except KeyboardInterrupt:
        pass
    again = run(tmp_path / 'cut', epochs=2, resume=True, **TINY)
    assert again.genotype == whole.genotype
    assert (tmp_path / 'cut' / 'history.csv').read_bytes() == (
        tmp_path / 'whole' / 'history.csv'
    ).read_bytes()


def test_a_space_has_the_name_by_which_it_is_known():
    load_plugin('domains')
    assert space_named('twin').name == 'twin'
    assert space_named('twin').groups == domain('twin').space.groups


def test_every_name_is_a_domain_or_says_which_file_it_needs(monkeypatch, tmp_path):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    domain.cache_clear()
    made = {}
    for name in CATALOGUE:
        try:
            made[name] = domain(name)
        except UserError as e:
            assert len(str(e).splitlines()) == 1 and 'DNAS_DATA' in str(e), (name, e)
    assert 'twin' in made
    domain.cache_clear()


def test_an_unknown_domain_is_one_line():
    fails(lambda: domain('gunpiont'), 'gunpoint')


def test_blind_draws_differ():
    drawn = blind(domain('twin'), 5)
    assert len(set(map(str, drawn))) == 5


@pytest.mark.parametrize(
    'read, file, lost',
    [
        (lambda: graph_data('cora'), 'cora.npz', 'x_indices'),
        (lambda: series_data('vowels'), 'uea_japanesevowels.npz', 'length_train'),
        (lambda: text_data('trec'), 'trec.npz', 'class_names'),
        (lambda: modal_data('digit-pairs'), 'spoken_written_digits.npz', 'recording'),
        (lambda: graph_table('cora'), 'nas_bench_graph.npz', None),
    ],
)
def test_a_missing_and_a_foreign_file_of_every_chapter_are_one_line(
    read, file, lost, tmp_path, monkeypatch
):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for made in (graph_data, graph_table, text_data):
        getattr(made, 'cache_clear', int)()
    fails(read, f'{file} is not here', 'DNAS_DATA')
    np.savez(tmp_path / file, x_train=np.ones(3))
    if lost:
        fails(read, file, lost)


def test_a_ledger_goes_on_where_it_stopped(tmp_path, capsys):
    ledger = module_from(NBS / 'studies' / 'ledger.py')
    assert ledger.rows_of(tmp_path / 'rows.csv') == []
    for seed in range(2):
        ledger.add(tmp_path / 'rows.csv', dict(method='darts', seed=seed, network='op=conv, 3'))
    assert ledger.rows_of(tmp_path / 'rows.csv')[1] == dict(
        method='darts', seed='1', network='op=conv, 3'
    )
    assert capsys.readouterr().out.splitlines()[1] == 'darts 1 op=conv, 3'


@pytest.mark.parametrize('study', ['domains', 'graphs', 'transformers'])
def test_studies_share_one_ledger(study):
    path = NBS / 'studies' / study / 'run.py'
    assert 'def rows_of' not in path.read_text(encoding='utf-8')
    done = warm.run([sys.executable, str(path), '--help'], capture_output=True, text=True)
    assert done.returncode == 0 and '--seeds' in done.stdout, done.stderr


@pytest.mark.parametrize(
    'given', [dict(data='gunpoint'), dict(data='gunpiont'), dict(data='digits', space='trec')]
)
def test_a_name_of_a_domain_that_is_not_loaded_says_what_to_load(given, tmp_path):
    "In a process of its own: other tests load the domains"
    code = f'''
from dnas_nb.core import UserError
from dnas_nb.running.experiment import run
from dnas_nb.running.retrain import retrain
from dnas_nb.running.study import plan
given = {given!r}
calls = [lambda: run({str(tmp_path/'run')!r}, **given), lambda: plan(given)]
if 'space' not in given:
    calls.append(lambda: retrain('|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|', **given))
for call in calls:
    try: call()
    except UserError as e: print(e)
'''
    done = warm.run([sys.executable, '-c', code], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 + ('space' not in given) and all(
        '--plugin domains' in line for line in lines
    ), done
    fails(lambda: run(tmp_path / 'run', data='digit'), 'digits')
