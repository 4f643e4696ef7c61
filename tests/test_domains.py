"Domains by name: what commands know, and what a run remembers of it."
import json

from conftest import fails

from dnas_nb.core import UserError
from dnas_nb.domains.catalogue import CATALOGUE, domain
from dnas_nb.domains.domain import blind
from dnas_nb.plugins import load_plugin, loaded_plugins
from dnas_nb.running.experiment import run
from dnas_nb.running.identity import space_named

TINY = dict(data='twin', space='twin', method='drnas', batch=16, device='cpu', report=False)


def test_a_domain_is_searched_by_name_and_goes_on(tmp_path):
    load_plugin('domains')
    assert 'domains' in loaded_plugins()           # so that workers know the names
    whole = run(tmp_path/'whole', epochs=2, **TINY)
    assert whole.genotype.space == 'twin'
    told = json.loads((tmp_path/'whole'/'run.json').read_text())
    assert told['own']['plugin'] == dict(space='domains'), told['own']
    def stop(state, s):
        if state.epoch == 1: raise KeyboardInterrupt
    try: run(tmp_path/'cut', epochs=2, on_epoch=stop, **TINY)
    except KeyboardInterrupt: pass
    again = run(tmp_path/'cut', epochs=2, resume=True, **TINY)
    assert again.genotype == whole.genotype
    assert (tmp_path/'cut'/'history.csv').read_bytes() == (tmp_path/'whole'/'history.csv').read_bytes()


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
        try: made[name] = domain(name)
        except UserError as e: assert len(str(e).splitlines()) == 1 and 'DNAS_DATA' in str(e), (name, e)
    assert 'twin' in made
    domain.cache_clear()


def test_an_unknown_domain_is_one_line():
    fails(lambda: domain('gunpiont'), 'gunpoint')


def test_blind_draws_differ():
    drawn = blind(domain('twin'), 5)
    assert len(set(map(str, drawn))) == 5
