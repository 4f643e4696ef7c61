"""Parameters of published networks and sizes of search spaces, expected and found: `python tools/param_counts.py`. Exit status 1 if one differs.

Expected counts were computed from the released codes; the published figures in millions are their rounding.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch
from dnas_nb.dialects import published
from dnas_nb.genotype import all_archs, from_ops
from dnas_nb.space import SPACES, darts, minimal, n_archs, n_relaxed, nb201
from dnas_nb.spaces import macro, nb101, shuffle, size
from dnas_nb.supernet import SuperNet, n_weights, subnet


def all_skip():
    "Two skips into every node of both cells"
    ops = {c.name: ['skip_connect' if i < 2 else None for i, _ in c.edges] for c in darts().cells}
    return from_ops(darts(), ops)


def networks():
    "(what, expected weights, network)"
    v2, c3 = published('DARTS_V2'), 'nor_conv_3x3'
    yield 'DARTS supernet, C=16, 8 cells', 1_930_618, SuperNet(darts(), 16, 8)
    yield 'PC-DARTS supernet, K=4, C=16, 8 cells', 299_578, SuperNet(darts(), 16, 8, partial=4)
    for name, n in dict(
        DARTS_V1=3_169_414, DARTS_V2=3_349_342, PC_DARTS=3_634_678, DRNAS=4_099_294
    ).items():
        yield f'{name}, C=36, 20 cells, CIFAR', n, subnet(darts(), published(name))
    yield 'DARTS_V2 with auxiliary head', 3_825_768, subnet(darts(), v2, auxiliary=True)
    yield 'DARTS cells of skips only', 1_580_950, subnet(darts(), all_skip())
    yield 'DARTS_V2, C=48, 14 cells, ImageNet', 4_718_752, subnet(
        darts(), v2, 48, 14, 1000, stem='imagenet'
    )
    for op, n in dict(
        none=73_306, skip_connect=73_306, nor_conv_1x1=241_306, nor_conv_3x3=1_531_546
    ).items():
        yield f'NAS-Bench-201, all {op}', n, subnet(nb201(), from_ops(nb201(), [op] * 6))
    yield 'NAS-Bench-201, all nor_conv_3x3 but a skip 0-3', 1_288_506, subnet(
        nb201(), from_ops(nb201(), [c3] * 3 + ['skip_connect'] + [c3] * 2)
    )
    yield 'NAS-Bench-201 supernet, no conv biases (1.692698 M with them, see 05_supernet)', 1_692_698 - 6_720 + 128, SuperNet(
        nb201(), 16, 5
    )
    yield 'NAS-Bench-Macro, all identity', 387_882, subnet(
        macro(), from_ops(macro(), ['id'] * 8), C=32, n=1
    )
    yield 'NAS-Bench-Macro, last block MB6_K5', 1_219_370, subnet(
        macro(), from_ops(macro(), ['id'] * 7 + ['mb6_k5']), C=32, n=1
    )


def sizes():
    "(what, expected size, found by formula, found by listing or None)"
    count = lambda s: sum(1 for _ in all_archs(s))
    yield 'NAS-Bench-201', 15_625, n_archs(nb201()), count(nb201())
    yield 'toy', 27, n_archs(SPACES['toy']()), count(SPACES['toy']())
    yield 'minimal cell', 8**5, n_archs(minimal()), count(minimal())
    yield 'DARTS, one cell', 180 * 7**8, n_archs(
        replace(minimal(), groups=[darts()['normal']])
    ), None
    yield 'DARTS, both cells', (180 * 7**8) ** 2, n_archs(darts()), None
    yield 'DARTS, relaxed', 8**28, n_relaxed(darts()), None
    for k in (1, 2, 3, 4):
        yield f'S{k}', (180 * 2**8) ** 2, n_archs(SPACES[f's{k}']()), None
    for k, n in {1: 14_580, 2: 29_160, 3: 1_312_200}.items():
        yield f'1Shot1 space {k} (our enumeration)', n, n_archs(nb101(k)), (
            count(nb101(k)) if k < 3 else None
        )
    yield 'ShuffleNet chain', 4**20, n_archs(shuffle()), None
    yield 'NATS-Bench sizes', 32_768, n_archs(size()), count(size())
    yield 'NAS-Bench-Macro', 6_561, n_archs(macro()), count(macro())


def main():
    bad = 0
    print(f'{"weights":<80} {"expected":>14} {"found":>14}')
    with torch.device('meta'):
        found = list(networks())  # shapes without numbers
    for what, want, net in found:
        got = n_weights(net)
        bad += got != want
        print(f'{what:<80} {want:>14,} {got:>14,}{"" if got == want else "  DIFFERS"}')
    print(f'\n{"sizes":<40} {"expected":>30} {"formula":>30} {"listed":>12}')
    for what, want, got, listed in sizes():
        ok = got == want and listed in (None, want)
        bad += not ok
        print(
            f'{what:<40} {want:>30,} {got:>30,} {"" if listed is None else f"{listed:,}":>12}{"" if ok else "  DIFFERS"}'
        )
    print(f'\n{"all agree" if not bad else f"{bad} differ"}')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
