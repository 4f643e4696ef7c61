"""How the package is put together, drawn from its imports: `python tools/architecture.py [file.svg]`.

Left: the parts of the house, an arrow from what imports to what is imported, as wide as there are imports between modules.
Right: every module in reading order, a dot where the row imports the column. No dot stands above the diagonal: nothing is
imported from a later chapter.
"""

import ast, json, re, sys
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = 'bench', 'reading', 'running', 'domains', 'systems'
PLACES = {  # of the parts, in a picture that is 3 wide and 4 high
    'the pieces': (0, 0),
    'the search': (1.6, 0.6),
    'bench': (0, 1.5),
    'reading': (1.6, 1.9),
    'running': (0, 2.8),
    'domains': (2.6, 2.9),
    'systems': (1.3, 3.6),
}


def modules() -> list:
    "(part, module) in reading order: the course, then the rooms."
    found = []
    for path in (ROOT / 'nbs').rglob('*.ipynb'):
        place = path.relative_to(ROOT / 'nbs')
        room = place.parts[0] if len(place.parts) > 1 else ''
        if room and room not in ROOMS or any(s[0] in '._' for s in place.parts):
            continue
        text = ''.join(
            ''.join(c['source']) + '\n'
            for c in json.loads(path.read_text(encoding='utf-8'))['cells']
            if c['cell_type'] == 'code'
        )
        if name := re.search(r'^#\|\s*default_exp\s+(\S+)', text, re.M):
            order = ROOMS.index(room) if room else -1
            number = int(re.match(r'\d+', path.name)[0])
            part = room or ('the pieces' if number <= 9 else 'the search')
            found.append((order, path.name, part, name[1]))
    return [(part, name) for _, _, part, name in sorted(found)]


def imports(module: str, known) -> set:
    "Modules of the package that a module imports, anywhere in it."
    path = ROOT / 'dnas_nb' / f'{module.replace(".", "/")}.py'
    here, out = ['dnas_nb', *module.split('.')[:-1]], set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = '.'.join(here[: len(here) - node.level + 1]) if node.level else ''
        name = '.'.join(filter(None, (base, node.module)))
        out |= {name, *(f'{name}.{a.name}' for a in node.names)}
    return {n.removeprefix('dnas_nb.') for n in out} & known


@cache
def edges() -> list:
    "(importing module, imported module)"
    known = {name for _, name in modules()}
    return sorted((m, other) for m in known for other in imports(m, known))


def draw(path: Path):
    import matplotlib

    matplotlib.use('agg')
    import matplotlib.pyplot as plt
    import networkx as nx

    part_of = {name: part for part, name in modules()}
    order = {name: k for k, (_, name) in enumerate(modules())}
    counts = Counter((part_of[a], part_of[b]) for a, b in edges() if part_of[a] != part_of[b])
    sizes = Counter(part_of.values())
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 5.4), width_ratios=(1, 1))

    graph = nx.DiGraph()
    graph.add_weighted_edges_from((a, b, n) for (a, b), n in counts.items())
    where = {part: PLACES[part] for part in graph}
    widths = [0.4 + graph.edges[e]['weight'] / 25 for e in graph.edges]
    nx.draw_networkx_edges(
        graph,
        where,
        ax=left,
        width=widths,
        edge_color='#7a93a8',
        node_size=4200,
        connectionstyle='arc3,rad=.08',
        arrowsize=11,
    )
    for part, (x, y) in where.items():
        box = dict(boxstyle='round,pad=.5', fc='#e8f0f7', ec='#205a8c')
        left.text(x, y, f'{part}\n{sizes[part]} modules', ha='center', va='center', bbox=box)
    left.set_xlim(-0.7, 3.3)
    left.set_ylim(4.1, -0.5)
    left.set_axis_off()
    left.set_title('parts, and what they import')

    pairs = [(order[a], order[b]) for a, b in edges()]
    right.scatter([b for _, b in pairs], [a for a, _ in pairs], s=5, color='#205a8c', lw=0)
    right.plot([0, len(order)], [0, len(order)], color='.75', lw=0.8)
    firsts = {}
    for name, k in order.items():
        firsts.setdefault(part_of[name], k)
    right.set_yticks(list(firsts.values()), list(firsts))
    right.set_xticks(list(firsts.values()), list(firsts), rotation=90)
    right.invert_yaxis()
    right.set_title('modules in reading order: the row imports the column')
    fig.tight_layout()
    fig.savefig(path, metadata={'Date': None})
    plt.close(fig)


if __name__ == '__main__':
    out = Path(sys.argv[1] if len(sys.argv) > 1 else 'architecture.svg')
    draw(out)
    print(f'{out}: {len(modules())} modules, {len(edges())} imports')
