"Motifs: planted ones are found, noise stays silent, fast counts are brute counts, and bad input is one line."

import itertools, json, math, sys
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.bench.tables import load, make_table
from dnas_nb.running.learned import read_distribution
from dnas_nb.reading.cards import (
    against,
    all_cells,
    best_cell,
    card,
    cells_with,
    compatible,
    connected,
    evidence,
    hint,
    rank_cells,
    transfer,
    wants,
)
from dnas_nb.dependence import CorrelatedNormal, Full
from dnas_nb.genotype import to_ops
from dnas_nb.reading.interactions import Learned, rows_of
from dnas_nb.reading.motifs import (
    Motif,
    _affordable,
    _census,
    _forms_of,
    _null_means,
    _same_degrees,
    _two_sided,
    as_motifs,
    canonical,
    count,
    follows,
    graph_motifs,
    itemsets,
    pair_motifs,
    rewired,
    sampled,
    seeds_needed,
    set_motifs,
    subgraphs,
    uniform,
)
from dnas_nb.space import nb201, reachable, toy
from dnas_nb.spaces import all_spaces

CELL, TOY, DARTS = nb201().cells[0], toy().cells[0], all_spaces()['darts']().cells[0]
NAMES = tuple(f'{l} {o}' for l, ops in zip(CELL.labels, CELL.ops) for o in ops)


def planted(plants, seed, r=0.7, n=150, names=NAMES):
    x = np.random.default_rng([seed, 1]).normal(size=(n, len(names)))
    for i, j in plants:
        x[:, j] = r * x[:, i] + np.sqrt(1 - r * r) * x[:, j]
    return Learned(np.corrcoef(x.T), names, about=dict(seed=seed))


def test_the_null_lists_all_cases():
    "p by brute force over all ways to take one entry from each seed"
    B = [np.random.default_rng(k).normal(size=9) for k in range(3)]
    every = [sum(v) / 3 for v in itertools.product(*B)]
    t = np.array([every[0], max(every), 0.0])
    null, exact = _null_means(B)
    assert exact and np.allclose(null, sorted(every))
    far = [np.mean([abs(v) >= abs(u) - 1e-12 for v in every]) for u in t]
    assert np.allclose(_two_sided(t, null, exact), far)


def test_a_drawn_null_draws_each_seed_by_itself():
    "Too many cases to list: the mean of five independent entries has a fifth of their variance"
    block = np.arange(30.0)
    many, exact = _null_means([block] * 5, 4000)
    assert not exact and len(many) == 4000 and abs(many.mean() - 14.5) < 0.5
    assert abs(many.std() / block.std() * np.sqrt(5) - 1) < 0.05


def test_seeds_needed():
    for E, O, fdr in itertools.product((3, 6, 14), (3, 5, 8), (0.01, 0.05, 0.1, 0.2)):
        n, tests = seeds_needed(E, O, fdr), math.comb(E, 2) * O * O
        assert n == 2 or (O * O) ** -n <= fdr / tests < (O * O) ** -(n - 1.0)


@pytest.mark.parametrize('kind', ['partial', 'corr'])
def test_planted_pairs(kind):
    found, want = [], []
    for k in range(8):
        v = np.random.default_rng([k, 2]).permutation(30)[:6].reshape(3, 2)
        v = v[v[:, 0] // 5 != v[:, 1] // 5]
        d = pair_motifs([planted(v, 100 * k + s) for s in range(4)], kind=kind)
        found.append({frozenset(m.choices) for m in as_motifs(d)})
        choice = lambda n: (CELL.edges[n // 5], CELL.ops[0][n % 5])
        want.append({frozenset([choice(i), choice(j)]) for i, j in v})
    right = sum(len(f & w) for f, w in zip(found, want))
    assert right >= 0.85 * sum(map(len, want)) and right >= 0.85 * sum(map(len, found))


def test_pure_noise():
    some = [
        pair_motifs([planted([], 1000 * k + s) for s in range(3)]).found.any() for k in range(20)
    ]
    some += [itemsets(uniform(CELL, 300, 'n', k), CELL, lift=1).found.any() for k in range(8)]
    some += [subgraphs(uniform(CELL, 200, 'n', k), CELL, 2, n=50).found.any() for k in range(8)]
    assert np.mean(some) < 0.3  # 10 % promised, 36 draws


def test_pairs_of_many_seeds_and_pruned_ones():
    runs = [planted([(3, 21)], s) for s in range(6)]
    assert as_motifs(pair_motifs(runs))[0].seeds == (0, 1, 2, 3, 4, 5)
    C = runs[0].corr.copy()
    C[:5] = C[:, :5] = 0
    C[range(5), range(5)] = 1
    d = pair_motifs([Learned(C, NAMES), *runs[1:]])
    assert len(d) == 250 and not ((d.edge == '0→1') | (d.edge2 == '0→1')).any()
    w = np.full((6, 5), 0.1)
    w[:, 3] = 0.6
    liked = pair_motifs([Learned(r.corr, NAMES, w, r.about) for r in runs])
    assert liked[liked.found].weight.max() <= 9 and np.isclose(liked.weight.min(), 0.25)


def test_too_few_runs():
    runs = [planted([(3, 21)], s) for s in range(3)]
    fails(lambda: pair_motifs(runs[:2]), '2 runs', '3 seeds are needed')
    fails(lambda: pair_motifs(runs, fdr=0.01), '4 seeds are needed')
    fails(lambda: pair_motifs([]), 'no runs')
    fails(
        lambda: pair_motifs(
            [*runs, Learned(np.eye(9), tuple(f'{l} {o}' for l in TOY.labels for o in TOY.ops[0]))]
        ),
        'different spaces',
    )
    fails(
        lambda: pair_motifs([*runs, Learned(np.eye(30), NAMES, about=dict(seed=7))]),
        'seed 7 is the identity',
    )
    fails(lambda: pair_motifs(runs, kind='rho'), "unknown kind 'rho'")
    nameless = [Learned(r.corr, tuple(map(str, range(30)))) for r in runs]
    fails(lambda: pair_motifs(nameless), "choice '0' has no operation")


def test_itemsets_by_loop():
    codes = np.random.default_rng(0).integers(0, 3, (200, 3))
    codes[:60, :2] = 1
    d = itemsets(codes, TOY, support=0.001, lift=0, fdr=1)
    P = lambda s: np.mean([all(row[e] == o for e, o in s) for row in codes])
    assert len(d) == len(
        {
            tuple(r[list(es)]) + es
            for k in (2, 3)
            for es in itertools.combinations(range(3), k)
            for r in codes
        }
    )
    for r in d.itertuples():
        s = [(TOY.edges.index(e), TOY.ops[0].index(o)) for e, o in r.choices]
        split = max(
            P(a) * P([v for v in s if v not in a])
            for n in range(1, len(s))
            for a in itertools.combinations(s, n)
        )
        assert np.isclose(r.support, P(s)) and np.isclose(r.lift, P(s) / split)
    assert set(d.choices[d.p.idxmin()]) == {((0, 1), 'skip_connect'), ((0, 2), 'skip_connect')}


def test_itemsets_over_seeds():
    one, two = uniform(CELL, 500, 1), uniform(CELL, 500, 2)
    one[:200, [0, 4]] = 3
    d = itemsets([one, two, one], CELL)
    planted_set = (((0, 1), 'nor_conv_3x3'), ((1, 3), 'nor_conv_3x3'))
    top = d[d.choices.map(planted_set.__eq__)].iloc[0]
    assert top.found and set(top.seeds) >= {0, 2} and top.of == 3
    mine = {m.choices: m for m in set_motifs(d)}[planted_set]
    assert mine.kind == 'set' and mine.score == top.lift and mine.seeds == top.seeds


@pytest.mark.parametrize('cell', [CELL, DARTS], ids=['nb201', 'darts'])
def test_itemsets_are_bounded(cell):
    said = []
    d = itemsets(
        np.random.default_rng(0).integers(0, 5, (300, cell.E)),
        cell,
        size=3,
        support=1e-4,
        most=800,
        tell=said.append,
    )
    assert (
        len(d) <= 800
        and len(said) == 1
        and d.attrs['cut'] == said[0]
        and _affordable(cell, 3, 1e-4, 800) > 1e-4
    )
    fails(lambda: itemsets(np.zeros((5, 3), int), cell), f'(n, {cell.E})')


def test_without_mlxtend(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mlxtend.frequent_patterns', None)
    fails(lambda: itemsets(uniform(CELL, 50), CELL), "pip install 'dnas_nb[motif]'")


@pytest.mark.parametrize('cell', [TOY, CELL], ids=['toy', 'nb201'])
@pytest.mark.parametrize('size', [2, 3])
def test_census_is_brute_force(cell, size):
    codes, forms = uniform(cell, 6, 'b'), _forms_of(cell, size).forms
    fast = _census(codes, cell, size)
    assert len(set(forms)) == len(forms) and all(canonical(f) == f for f in forms)
    for k in range(0, len(forms), 1 + len(forms) // 60):
        assert fast[k] == sum(
            count(forms[k], [cell.ops[e][o] for e, o in enumerate(r)], cell) for r in codes
        )


def test_census_of_dropped_edges():
    "DARTS' cells keep two inputs per node; -1 stands for a dropped edge"
    codes = np.full((3, DARTS.E), -1)
    for row, seed in zip(codes, range(3)):
        row[np.random.default_rng(seed).permutation(DARTS.E)[:8]] = np.random.default_rng(
            seed
        ).integers(1, 8, 8)
    fast, forms = _census(codes, DARTS, 2), _forms_of(DARTS, 2).forms
    ops = [[None if o < 0 else DARTS.ops[e][o] for e, o in enumerate(r)] for r in codes]
    assert fast.sum() > 0
    for k in [*np.flatnonzero(fast)[:12], 0]:
        assert fast[k] == sum(count(forms[k], o, DARTS) for o in ops)


@pytest.mark.parametrize('cell', [TOY, CELL], ids=['toy', 'nb201'])
def test_rewired_is_uniform(cell):
    "Every cell with the same operations and degrees turns up equally often"
    start = np.array([1, 2, 0, 1, 2, 0][: cell.E])
    ends = np.zeros((cell.E, 2 * cell.n_nodes), int)
    for e, (i, j) in enumerate(cell.edges):
        ends[e, 2 * i] = ends[e, 2 * j + 1] = 1
    key = lambda c: (tuple(sorted(c)), tuple((np.array(c) > 0) @ ends))
    want = sorted(c for c in itertools.product(range(3), repeat=cell.E) if key(c) == key(start))
    got, n = np.unique(
        rewired(np.tile(start, (6000, 1)), cell, np.random.default_rng(0)),
        axis=0,
        return_counts=True,
    )
    assert [tuple(r) for r in got] == want and abs(n / 6000 - 1 / len(want)).max() < 0.03


def test_rewired_dropped_edges():
    codes = np.full((4, DARTS.E), -1)
    codes[:, [0, 1, 3, 8]] = [1, 2, 2, 5]
    new = rewired(codes, DARTS, np.random.default_rng(0))
    assert (
        (np.sort(new, 1) == np.sort(codes, 1)).all()
        and (new != codes).any()
        and len(_same_degrees(DARTS).of) == 2**14
    )


def test_subgraph_motifs():
    codes = uniform(CELL, 300, 's')
    codes[:90, [0, 2]] = [3, 1]
    d = subgraphs([codes, codes], CELL, 2, n=40)
    m = graph_motifs(d, [codes, codes], CELL)[0]
    assert (
        m.pattern == canonical(((0, 1, 'nor_conv_3x3'), (1, 2, 'skip_connect')))
        and m.seeds == (0, 1)
        and m.of == 2
    )
    assert (
        follows(m, codes, CELL)
        == [count(m.pattern, [CELL.ops[e][o] for e, o in enumerate(r)], CELL) > 0 for r in codes]
    ).all()
    assert 'conv 3×3 followed by skip' in hint(m)
    fails(lambda: subgraphs(codes, CELL, 4), '2 or 3 edges')


def test_wants_agree():
    C = np.eye(30)
    C[3, 21] = C[21, 3] = 0.8
    D = CorrelatedNormal(
        torch.zeros(6, 5), Full(torch.linalg.cholesky(torch.tensor(C).float()), None)
    )
    a, b = wants(D, {'0-1': 'nor_conv_3x3'}, (1, 3), CELL), wants(
        sampled(D, 4000), {(0, 1): 'nor_conv_3x3'}, '1→3', CELL
    )
    assert (
        a.index[0] == b.index[0] == 'skip_connect'
        and abs(b.before - a.before[b.index]).max() < 0.03
    )
    Y = np.random.default_rng(0).normal(size=(5,) * 6)
    c = wants(Y, {'0→1': 'nor_conv_3x3', '2→3': 'none'}, '1→3', CELL)
    for o, name in enumerate(CELL.ops[0]):
        assert np.isclose(c.after[name], Y[3, :, :, :, o, 0].mean()) and np.isclose(
            c.before[name], Y[:, :, :, :, o].mean()
        )
    fails(lambda: wants(Y, {'1→3': 'none'}, '1→3', CELL), 'ask about another edge')
    fails(lambda: wants(Y, {'0→1': 'conv_3x3'}, '1→3', CELL), "did you mean 'nor_conv_3x3'")
    fails(lambda: wants(uniform(CELL, 30), {'0→1': 'none'}, '1→3', CELL), 'sample more')


def test_connected_is_reachable():
    codes = all_cells(CELL)[::37]
    assert connected(codes, CELL).tolist() == [
        3 in reachable(1, [e for e, o in zip(CELL.edges, r) if o]) for r in codes
    ]
    fails(lambda: all_cells(DARTS), 'too many to list')


PAIR = Motif((((0, 1), 'nor_conv_3x3'), ((1, 3), 'skip_connect')), score=0.3, weight=2.0)


def test_cells_from_motifs():
    other = Motif((((0, 1), 'skip_connect'), ((0, 3), 'nor_conv_3x3')), score=0.2, weight=2.0)
    disliked = Motif((((0, 2), 'none'), ((0, 3), 'none')), score=0.9, weight=0.3)
    apart = Motif((((0, 3), 'none'), ((2, 3), 'none')), score=-0.4, weight=2.0)
    fixed, used, avoid = compatible([other, PAIR, disliked, apart], CELL, avoid=1)
    assert used == [PAIR] and avoid == [apart] and fixed == dict(PAIR.choices)
    rows = cells_with([other, PAIR, disliked, apart], CELL, avoid=1)
    assert len(cells_with([other, PAIR, disliked, apart], CELL)) > len(rows)
    want = [
        r
        for r in all_cells(CELL).tolist()
        if r[0] == 3 and r[4] == 1 and not (r[3] == r[5] == 0) and connected(np.array([r]), CELL)[0]
    ]
    assert rows.tolist() == want
    C = np.corrcoef(np.random.default_rng(0).normal(size=(30, 60)))
    g = best_cell([PAIR], Learned(C, NAMES, np.full((6, 5), 0.2)), nb201())
    assert to_ops(g, nb201())['cell'][0] == 'nor_conv_3x3'
    s = rank_cells(rows, Learned(C, NAMES))
    assert s.shape == (len(rows),) and np.ptp(s) > 0


def test_uniform_weights_are_likely_enough():
    "A pair of a search that knows no weights counts as likely, however many operations there are"
    for O in range(2, 40):
        pair = Motif(PAIR.choices, score=0.3, weight=(1 / O) * (1 / O) * O**2)
        assert compatible([pair], CELL)[1] == [pair]
    assert not compatible([Motif(PAIR.choices, score=0.3, weight=0.999)], CELL)[1]


def test_no_cell_is_left():
    dead = Motif((((0, 3), 'none'), ((1, 3), 'none'), ((2, 3), 'none')), 'set', 2.0)
    fails(lambda: cells_with([dead], CELL), 'has a path')
    fails(lambda: cells_with([], CELL), 'no motifs')
    fails(
        lambda: cells_with([Motif((((0, 9), 'none'), ((1, 3), 'none')), 'set', 2.0)], CELL),
        'unknown edge',
    )


def test_effect_sizes():
    a, b = np.random.default_rng(0).normal(1, 1, 40), np.random.default_rng(1).normal(0, 2, 50)
    v = against(a, b)
    assert np.isclose(v['cliff'], np.sign(a[:, None] - b).mean()) and np.isclose(
        v['difference'], a.mean() - b.mean()
    )
    assert (
        against(np.ones(5), np.ones(9))['cohen'] == 0 and against(np.ones(5), np.ones(9))['p'] == 1
    )


def test_transfer():
    digits = load('digits201')
    f = transfer([PAIR], digits, seen=['digits'], n=200)
    assert (
        f.versus.tolist() == ['random', 'same operations']
        and f.seen.all()
        and (f.cells == len(cells_with([PAIR], CELL))).all()
    )
    assert f.equals(transfer([PAIR], digits, seen=['digits'], n=200)) and not f.equals(
        transfer([PAIR], digits, n=200, seed=1)
    )
    same = transfer(
        all_cells(CELL)[connected(all_cells(CELL), CELL)], digits, versus=['random'], n=3000
    ).iloc[0]
    assert abs(same.cliff) < 0.05  # all cells against random cells: no difference
    fails(lambda: transfer([PAIR], digits, ['cifar10']), "unknown data set")
    fails(lambda: transfer([PAIR], digits, versus=['luck']), "unknown opponent")
    fails(lambda: transfer(np.zeros((2, 6), int), digits), 'no path')
    fails(lambda: transfer(np.ones((2, 3), int), digits), 'have 6')
    small = make_table(
        'invented', 'toy', rows_of('toy')[2], {('d', 'test', 1, 'mean'): np.arange(27.0)}
    )
    fails(lambda: transfer([PAIR], small), 'unknown edge')
    fails(lambda: evidence(PAIR, small, 'd'), 'unknown edge')
    fails(lambda: card(PAIR, TOY), 'another space')


def test_a_diverged_run():
    runs = [Learned(np.full((30, 30), np.nan), CELL.picks, about=dict(seed=k)) for k in range(5)]
    fails(lambda: pair_motifs(runs), 'not finite')


def test_cards_speak():
    v = evidence(PAIR, load('digits201'), 'digits')
    for m in (
        PAIR,
        Motif(PAIR.choices, 'set', 2.0, 1.0, 1.0),
        Motif(PAIR.choices, score=-0.2),
        Motif(
            PAIR.choices,
            'graph',
            1.5,
            pattern=canonical(((0, 1, 'nor_conv_3x3'), (1, 3, 'skip_connect'))),
        ),
    ):
        ax = card(m, CELL, [v])
        assert len(ax.texts) == 2 and hint(m).endswith('.') and 'conv 3×3' in hint(m)
    import matplotlib.pyplot as plt

    plt.close('all')


def test_a_run_is_sampled(tmp_path):
    from dnas_nb.running.experiment import run

    run(
        tmp_path / 'r',
        method='danas',
        space='toy',
        data='digits',
        epochs=1,
        images=200,
        channels=2,
        report=False,
    )
    codes = sampled(read_distribution(tmp_path / 'r'), 100)
    assert (
        codes.shape == (100, 3) and (codes == sampled(read_distribution(tmp_path / 'r'), 100)).all()
    )
    run(
        tmp_path / 's',
        method='darts',
        space='toy',
        data='digits',
        epochs=1,
        images=200,
        channels=2,
        report=False,
    )
    fails(lambda: sampled(read_distribution(tmp_path / 's')), 'no joint samples')
    fails(lambda: read_distribution(tmp_path / 'nothing'), 'no checkpoint')
    (tmp_path / 'r' / 'run.json').write_text(json.dumps({}))
    fails(lambda: read_distribution(tmp_path / 'r'), 'no run folder')
