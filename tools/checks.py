"""Acceptance checks: `python tools/checks.py` measures every one of them, `--break` shows that each can fail.

A check is a stretch of a lesson cell. It starts with a comment `# check NAME, NAME ...: what holds`, where a name may carry a note in
parentheses (`sdarts-box (adversarial)`), and ends at the next such comment or with the cell. It computes `err` and asserts a bound on it.
"""

import argparse, ast, contextlib, datetime, io, json, os, re, shutil, subprocess, sys, tempfile

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(k, '1')
os.environ |= {'MPLBACKEND': 'agg', 'TQDM_DISABLE': '1'}
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BREAKS = ROOT / 'tools' / 'breaks.json'
HEAD = re.compile(r'^# check ([^:\n]+)', re.M)  # up to the colon: the ids
SKIP = re.compile(r'^#\|\s*(slow|cuda|data|eval:\s*false)', re.M)

# What has to hold, by subject. A check is named by what it checks.
CHECKS = {
    # a feigned device (chapter running/46)
    'looks-are-seen': 'a mask that counts, a number that is read and a list that is sent are three looks',
    'steps-look-at-nothing': 'the steps of a search with dependence between edges look at no value on their device',
    # several processes (chapter 00d)
    'ranks-are-one': 'loss, gradient and Hessian product over two ranks are those of the mean of their halves in one process',
    # a correlated normal over the logits (chapter 11)
    'correlation-is-valid': 'the correlation matrix has unit diagonal, is positive definite, and is the identity at z = 0',
    'sample-covariance': 'the covariance of samples is sigma^2 C',
    'pathwise-gradient': 'the pathwise gradient of a quadratic form equals its closed form',
    'kl-of-normals': 'the KL in closed form equals the library KL of two multivariate normals',
    'dependence-is-found': 'with the mean held, agreeing and disagreeing edges are found, three seeds each',
    'conditional-covariance': 'the conditional covariance is the inverse of a block of the precision',
    'pruned-is-zero': 'a pruned operation has weight exactly 0 and gradient exactly 0',
    'no-nudge-no-coupling': 'without a nudge (kappa = 0) pruning does not depend on the correlation parameters between edges',
    'uncorrelated-is-mean-rule': 'without correlation the sequential derivation is the mean derivation',
    # the best distribution of its entropy (chapter 11c)
    'gibbs-is-best': 'no distribution of the same entropy is better, and a nat costs its temperature',
    'mean-field-is-gibbs': 'on a table without interactions independent edges are Gibbs',
    'mean-field-fixed-point': 'every row of a mean field is a softmax of what its operations are worth to the others',
    'normal-between': 'the correlated normal is close to Gibbs where edges must agree',
    'reweighted-prior-is-gibbs': 'winners of prior samples, weighted by exp(f/tau), follow Gibbs',
    'kl-of-cells-is-less': 'the KL of cells is below the KL of logits',
    # how sure a rank is (chapter bench/19a)
    'rank-intervals-cover': '95 % intervals of rank and accuracy hold the truth about 95 % of the time',
    'shrunken-is-closer': 'posterior means are closer to the truth than measured means',
    # intervals of few seeds (chapter running/35)
    'interval-covers': 'of 95 % intervals of the mean of 3, 5 and 10 values 95 % hold it, of 20 nearly',
    # Dirichlet
    'dirichlet-gradient-linear': 'the pathwise gradient of E[w.theta] equals its closed form',
    'dirichlet-gradient-quadratic': 'the pathwise gradient of E[(w.theta)^2] equals its closed form',
    'kl-to-flat-dirichlet': 'the KL to the flat Dirichlet equals the library KL',
    'pruned-dirichlet': 'pruned and renormalised samples follow the Dirichlet of what is left',
    'pulled-to-one': 'without a loss, l2 alone and KL alone bring every concentration to 1',
    'widening-keeps-state': 'widening keeps shapes, momentum buffers and a finite loss',
    'one-channel-group': 'one partial channel group is the plain mixture; otherwise bypassed channels are untouched',
    'dirichlet-moments': 'sampled moments of a Dirichlet are its covariance, the mean of its largest weight and the second-order expansion',
    'largest-share-is-not-mean': 'edges ranked by the largest softmax share are not ranked by the Dirichlet mean: a share of pairs flips',
    'naive-form-underflows': 'elu + 1 as it is written is 0 where the form used here is not, and equal to it elsewhere',
    # entangled kernels (chapter 09c)
    'tangled-linear': 'without the norm one call with mixed kernels is the weighted sum of the calls',
    'tangled-one-hot': 'one-hot weights of an entangled supernet are the derived network, which inherits slices',
    'tangled-total': 'the total weight of a family is not lost in its norm',
    'tangled-fast': 'the fast supernet is the same function where kernels are entangled',
    'tangled-strip': 'a small kernel outlives the large one as it was, and is learned',
    # adapters of low rank (chapter 09d)
    'lora-merge': 'a merged layer is the layer with its adapter, and at the start it is the layer',
    'lora-switch': 'what is switched on has the gradient, what is not has none',
    'lora-rank': 'a change of the rank changes nothing that the layer says',
    'lora-extract': 'the network of one architecture inherits what the adapters learned',
    'lora-rests': 'after the switch kernels do not move by a bit',
    # DARTS-Bench-Suite (chapter 09e)
    'last-nodes': 'an output of four nodes is the last four, in the plain and in the fast cell',
    'suite-counts': 'supernets of the regular spaces have the stated numbers of weights',
    'suite-kept': 'a kept skip adds the skip to what is mixed, and stays where an edge stays',
    'halving-cell': 'one choice acts in cells that halve and in those that do not; a path of skips is factorised reductions',
    # operation-level early stopping (chapter 16d)
    'oles-cosine': 'the score of an operation is the cosine of its two gradients, taken by hand',
    'oles-overfits': 'the operation that reads noise rests before the one that reads the signal, five seeds of five',
    'oles-window': 'gradients that agree never rest an operation, orthogonal ones do, after the window and not before',
    'oles-rests': 'weights that rest do not move by a bit',
    'oles-off': 'a threshold of -1 is DARTS to the bit',
    # what operations say (chapter 16e)
    'information-closed-form': 'the information of features is the mean of sigma^-4 across channels, up to 3(C - 1)/C',
    'information-scale': 'features s times as large have s^-4 of it, whatever the order and the batches',
    'information-is-read': 'the operations of a fast supernet are read as if they were run by hand',
    'information-schedule': 'operations leave at the released epochs, and two are left for a node',
    'information-ends': 'from any scores one operation an edge or two inputs a node are left, none goes first, masks are nested',
    # what the network does with an operation (chapter 16f)
    'evidence-of-an-operation': 'an operation that adds delta is delta above the others, and (1 - p) delta above the baseline that contains it',
    'importance-without-evidence': 'without evidence (kappa = 0) the indicator ranks as the logits do',
    'importance-leaves': 'each event takes one operation from an edge, never the last one; none stays where nodes keep inputs',
    'importance-mends-logits': 'where logits prefer the wrong operation, evidence keeps the right one on all edges; without it all are wrong',
    # which channels pass through the operations (chapter 16g)
    'channels-at-random': 'with eps = 1 the choice is a uniform subset of C/K channels, whatever the scores',
    'channels-all-of-them': 'an edge that chooses all channels is the plain mixture',
    'channels-pass-by': 'what passes by is as it was, up to the shuffle; the first channels chosen: the edge of PC-DARTS to the bit',
    'channels-saliency': 'the score is the slope of the loss by the loudness of a channel, by finite differences',
    'channels-that-matter': 'planted channels are chosen with frequency 1 - eps and a little, in closed form',
    # long tails (chapter systems/66)
    'tail-counts': 'counts of a long tail follow the law to half a picture, and the ends are the imbalance apart',
    'frame-is-equiangular': 'the fixed classifier has unit columns, each pair with cosine -1/(K - 1), and nothing in it learns',
    'frame-is-fair': 'logits of a frame add up to nothing, and dot regression is the distance from the own vector of a class',
    'frame-helps-the-tail': 'with imbalance 100 a young network with a frame finds the rarest class at least as often as with a linear classifier, six seeds of six',
    'branches-and-steps': 'the two further convolutions, taken apart by hand',
    # further relaxations (chapter 10d)
    'reinmax-quadratic': 'the gradient of ReinMax is exact for quadratics, by enumeration; straight-through misses',
    'reinmax-order': 'ReinMax is exact for the powers 1 and 2 of a coin',
    'reinmax-network': 'operations that were not drawn give the slopes of a full mixture',
    'composed-neutral': 'a softmax before or after another relaxation changes nothing, and brackets do not matter',
    'composed-mean': 'choices by drawn odds have the mean odds',
    'attention-is-torch': 'attention over logits is that of PyTorch, whatever the order of the edges',
    'pc-darts-edge-weights': 'nodes are sums of edge weight times mixture, by hand',
    'pc-darts-strength': 'nodes keep the inputs of the largest product of mixing and edge weight',
    # costs of candidates
    'last-cell-cost': 'the cost of the last cell is cross-entropy minus predictive entropy, where batch norms follow; not so behind a skip',
    'upstream-cost': 'an edge upstream of a normalised operation costs nothing; behind a skip it does',
    'none-costs-nothing': 'the cost of none is exactly 0',
    'darts-gradient-from-costs': 'the gradient of DARTS is p (C - p.C) of the tracked costs',
    'logits-from-costs': 'the gradient of the logits of five methods follows from tracked costs',
    'landscape-eig': 'eigenvalues by Lanczos (dominant, both ends) are those of the dense Hessian',
    'score-function-unbiased': 'the DSNAS estimator, enumerated, is the exact gradient of a linear loss',
    # gradients through the best weights
    'implicit-gradient': 'on a quadratic g1 + g2 equals autograd through the best weights',
    'products-by-differences': 'on a quadratic H v and M v by differences are exact',
    'amended-gradient': 'on a quadratic the amended gradient is exact',
    'neumann-converges': 'the Neumann series converges to the exact gradient',
    'difference-quotients': 'on a tanh supernet the difference quotients are exact to 1e-3 in both precisions',
    'no-correction-is-first-order': 'without its correction the amended gradient is first order, bit for bit',
    'state-is-restored': 'weights are the same bits after the step',
    'difference-denominator': 'with /2*eps in place of /(2*eps) second order is first order, and with the right one it is not',
    'eps-invariance': 'on a quadratic the second order does not depend on eps over five orders of magnitude',
    'opposite-signs': 'the counter-example: the amended and the true correction have opposite signs',
    # baselines
    'gdas-forward': 'the edge outputs the sampled operation exactly',
    'gdas-gradient': 'the gradient of the logits is that of q_s <g, O_s - 1>',
    'gdas-gates': 'operations that do not run pass the gradient of their gates, the sampled one nothing besides',
    'gdas-skipped': 'a cell that skips operations has the gate gradients of edges with bare gates',
    'gdas-network': 'in whole networks, plain and fast, of first and second order, gates have the gradient of the released formula',
    'snas-temperature': 'temperature to 0 gives one-hot rows, to infinity uniform ones',
    'snas-one-sample': 'the one-sample gradient is Z (C - Z.C)/tau',
    'pc-darts-in-degree': 'one channel group and equal edge weights give DARTS over the in-degree',
    'step-zero-is-first-order': 'second order with step 0 is first order',
    'uniform-sampling': 'architectures are sampled uniformly (chi-square)',
    'softmax-sampling': 'candidates drawn from a softmax follow it (chi-square)',
    'reward-baseline': 'the reward baseline follows its closed form',
    # beta-DARTS
    'beta-gradient': 'the gradient of the beta decay is softmax / E',
    'beta-narrows': 'one decay step never raises the variance of the weights nor lowers their entropy',
    'beta-penalises-level': 'adding k to every logit adds k to the penalty',
    'beta-zero-is-darts': 'a coefficient of 0 gives DARTS bit for bit',
    # BaLeNAS
    'vadam-is-adam': 'without noise and prior the optimiser is Adam, bit for bit',
    'first-width': 'the first width depends on the prior alone unless it is set',
    'posterior-is-fixed-point': 'with the exact curvature the fixed point is the posterior',
    'moments-of-samples': 'sampled moments match; the KL is 0 only at the prior',
    # ZARTS
    'gld-never-uphill': 'gradient-less descent never goes uphill and reaches the bottom',
    'random-search-unbiased': 'two-sided random search is unbiased on a quadratic',
    'guided-search-mean': 'guided search on a parabola has its mean at the minimum',
    'guided-search-floor': 'with the floor the weights of guided search are those of the released code',
    'parts-are-the-mean': 'value and gradients of a batch in parts are the mean of those of the parts',
    'recomputed-to-the-bit': 'cells computed twice give the same derivatives of both orders and the same statistics',
    'batches-ahead': 'an estimator that trains ahead gets different training batches',
    # iDARTS
    'truncation-bound': 'on a quadratic the truncated series obeys its error bound',
    'no-terms-is-second-order': 'with no further term the series is second-order DARTS',
    'hessian-products': 'Hessian products by autograd and by differences agree to 1e-4',
    # entropy regulariser
    'entropy-gradient': 'the gradient of the entropy in bits is -p (log2 p + H)',
    'entropy-coefficient': 'the coefficient is -0.2, 0, 0.2 at start, middle and end',
    'entropy-ignores-shift': 'adding k to every logit changes nothing',
    'entropy-ends': 'a negative coefficient alone ends uniform, a positive one one-hot',
    # factorised parameters
    'product-is-rank-one': 'the product of two softmaxes is the softmax of summed logits, of rank one',
    'best-pair': 'the best pair is the pair of bests',
    'one-activation-is-darts': 'one activation gives DARTS',
    'factorised-evaluations': 'the mixed operation evaluates M + N functions',
    'linear-activations': 'with linear activations the factorised and the full mixture agree',
    # the wider field
    'pc-darts-plain': 'one channel group and uniform edge weights give DARTS',
    'pc-darts-bypass': 'channels that bypass the mixture are exact copies',
    'p-darts-stages': 'each stage keeps the stated number of operations',
    'p-darts-cap': 'a derived cell holds at most the stated number of skips',
    'p-darts-cap-normal-only': 'reduction cells keep their skips',
    'p-darts-calendar': 'each of three parts waits ten of 25 epochs and has a cosine of its own',
    'p-darts-dropout': 'dropout behind skips follows the released rates in every epoch',
    'sgas-schedule': 'decisions fall on the released epochs, and none is left at the end',
    'sgas-inputs': 'every node ends with two inputs, every other edge with none',
    'sgas-all-edges': 'scores are compared over all edges, decided ones included, as in the released code',
    'sgas-factors': 'every factor of the score lies in [0, 1]',
    'sgas-frozen': 'a decided edge never changes again',
    'darts-plus-skips': 'the search stops at the stated number of skips',
    'darts-plus-ranking': 'the search stops when the ranking rests for ten epochs',
    'robust-darts-ratio': 'the eigenvalue rule fires on a scripted trace where it should',
    'gdas-one-hot': 'the forward weights are exactly one-hot',
    'gdas-frequency': 'the frequency of samples is the softmax',
    'darts-pt-tuning': 'between decisions decided edges keep their weights and the logits of the others learn',
    'darts-pt-optimum': 'with additive accuracy and equal weights the optimum is found, in any order',
    'fairdarts-sign': 'the zero-one loss pushes every weight away from one half',
    'fairdarts-threshold': 'edges whose best switch is below 0.85 go, as in the released parser',
    'fairdarts-start': 'at zero logits the squared loss pushes nowhere, while the absolute one obeys the noise',
    'fairdarts-independent': 'operations do not compete: the Jacobian of a row is diagonal',
    'sdarts-zero': 'a box of size 0 gives DARTS',
    'sdarts-box': 'noise and attack are the released ones: uniform in the box, clipped to it, cut at 0 and rescaled',
    'sdarts-simplex': 'perturbed weights stay shares of one',
    'sdarts-ascent': 'the adversarial loss is never below the clean loss',
    'darts-minus-off': 'a coefficient of 0 gives DARTS',
    'darts-minus-skip': 'in every space the auxiliary weight lies on the skips, and nowhere else',
    'darts-minus-fixed': 'where the auxiliary skips are is no parameter',
    'darts-minus-end': 'the coefficient ends at 0',
    'lambda-darts': 'the perturbation of each cell is the gradient of the mean cosine',
    'drnas-mean': 'the mean is concentration over its sum',
    'drnas-positive': 'concentrations are positive for every logit',
    'drnas-anchor': 'the KL is 0 at the anchor',
    # pruning as search (systems)
    'gate-gradient': 'the gradient of a switch is the sum of x dL/dy, on or off',
    'gates-on-are-nothing': 'with all switches on the output is the input',
    'merge-is-the-sum': 'one kernel answers as three branches with their norms',
    'sliced-is-gated': 'the plain network of what is on answers as the gated one',
    'multiply-adds-by-hand': 'the price of switches is a hand count, and each of them costs',
    'limit-is-kept': 'what comes out costs no more than its limit',
    # domain adaptation (systems)
    'mmd-closed-form': 'the distance of two single points is 2 - 2 exp(-d^2/2w^2)',
    'mmd-of-itself-is-zero': 'a cloud is no distance from itself in any order, and no distance is below 0',
    'mmd-gradient': 'the gradient of the distance is that of differences',
    'mmd-rises': 'the distance grows as two Gaussians part',
    'reversal-is-minus': 'values pass the reversed gradient as they are, gradients with the opposite sign',
    'target-labels-unseen': 'noise in place of the labels of the target changes no bit of search and training',
    'pull-helps': 'a network by hand answers better in the target with the pull than without it',
    # discretised nodes (systems)
    'information-limits': 'log K for sure and balanced shares, 0 for equal ones, between for others',
    'straight-through': 'forward the nearest code, backward the identity',
    'codes-follow-means': 'codes of two clusters end at the means of the clusters',
    'dead-codes-move': 'codes that all died stand at words after their patience',
    'none-is-constant': 'without operations every text gets the same answer',
    'keyword-is-found': 'a skip from the words to the last node answers every text of the keyword task, with codes and without',
    # several modalities (systems)
    'padding-is-nothing': 'more padding, whatever it holds, changes no answer',
    'order-of-senses': 'modalities in another order, with their weights, give the same answers',
    'absent-is-nothing': 'what stands in the place of an absent modality changes no answer, nor does its absence',
    'absent-rests': 'what a whole batch lacks has no gradient, and the others have that of being alone',
    'none-is-valid': 'none for a modality is its absence; none for all of them is a network that says one thing',
    'riddle-needs-both': 'the exclusive or of two modalities is found with both, with either alone it is a coin',
    # a map of cells (systems)
    'other-order-same-graph': 'nodes in another order leave the embedding of a graph as it was',
    'reversed-swaps-halves': 'with one stack for both directions the reversed graph exchanges the halves of its states',
    'no-look-ahead': 'what is said after t nodes is what is said when there are no others',
    'kind-is-not-given': 'the next kind is not known when it is asked for',
    'kl-of-the-map': 'the KL is 0 at the standard normal, else what PyTorch computes',
    'sixteen-graphs': 'all steps of sixteen graphs are learned by heart',
    'between-is-a-graph': 'between two graphs on the map no cycle, one input, one output',
    'process-grows': 'a Gaussian process that grows row by row is the one with one inverse',
    'evidence-is-likelihood': 'the evidence is the density of a normal, but for a constant',
    'improvement-by-sums': 'expected improvement is the integral that it stands for',
    # graph networks searched in turns (systems)
    'kipf-by-hand': 'gcn, no norm, relu, twice, is the network of Kipf and Welling',
    'd2-one-hot': 'forwards a drawn path is exactly a corner',
    'd2-frequency': 'draws follow the softmax of the logits, within three standard errors',
    'best-path-rises': 'on a table of costs the moving average of the odds of the best path never falls',
    'weights-ignore-odds': 'given the path, other odds give the weights the same gradient',
    'set-shrinks': 'the set of paths never grows and is never empty',
    'attempts-end': 'a hundred draws outside of the set end in its likeliest path, a hundred that are no network in an error',
    'gaps-are-counted': 'with a share of one every example lacks just one sense, with none none',
    # sparse search (systems)
    'sparse-gradient': 'the gradient of scores is dL/d(w m) times w, also for what is cut',
    'sparse-count': 'exactly the rounded-up share of the weights stays, of equal scores the first',
    'sparse-all-is-dense': 'with all weights kept a layer is the dense layer, bit for bit',
    'sparse-phases': 'either scores or weights learn, and what does not learn rests to the bit',
    'baked-is-sparse': 'plain layers with zeros answer as the layers with scores do',
    'support-is-found': 'the prune phase finds the three of thirty inputs that matter, weights frozen',
    'sparse-search-phases': 'at the end of a search as many weights stay as were asked for',
    # a search scope that moves (systems)
    'scope-arrives': 'on a loss with one minimum a window reaches it from either end',
    'two-paths-gradient': 'the gradient of binary gates, by hand, between the two paths drawn',
    'scope-is-closed': 'what is outside of a window never runs and has no gradient',
    'full-scope-is-none': 'windows as long as the lists change no bit of a search',
    'travelled-straight': 'length, switches and margin of a straight line are the known ones',
    'travelled-jumps': 'an option that comes into a window does not lengthen its path',
    # three levels (systems)
    'chain-of-quadratics': 'the gradient through three quadratics is ab(abA - t), from anywhere',
    'one-level-is-darts': 'a chain of one level is second-order DARTS',
    'identity-level-is-darts': 'with a copy as the second level three levels are two',
    'mosaic-reads': 'the places of a mosaic in order, without the gap, give its caption',
    'toy-captions': 'a captioner by hand learns to name the shades of a mosaic',
    'second-level-reaches': 'with the loss of the learner alone the gradient is that of differences',
    # claims on a shared folder (running)
    'ring-all-reduce': 'every GPU has the sum, and has sent 2(n - 1)/n of the gradient',
    'late-writer-fails': 'who loses its claim in the middle of a write finishes no file',
}
LATER = {}  # id -> chapter that is still to be written


def canon(name: str) -> str:
    "One spelling of a name: `pruned-is-zero`, or `sdarts-box (adversarial)`"
    return re.sub(r'\s+', ' ', name.strip())


def split_heads(src: str) -> list:
    "`(line, [ids])` of every check comment of a cell; a note in parentheses stays with its id"
    return [
        (
            src[: m.start()].count('\n') + 1,
            [canon(x) for x in re.split(r',(?![^(]*\))', m[1]) if x.strip()],
        )
        for m in HEAD.finditer(src)
    ]


def demanded(label: str) -> str:
    "The id of the list above that a label of a notebook answers to, or ''"
    tries = (
        label,
        re.sub(r', [^()]*\)$', ')', label),
        re.sub(r' \([^()]*\)$', '', label),
    )  # the note in full, its first part, without it
    return next((t for t in tries if t in CHECKS), '')


def notebooks() -> list:
    "Every chapter: the course first, then the folders."
    found = (ROOT / 'nbs').rglob('[0-9][0-9]*_*.ipynb')
    return sorted(
        (p for p in found if '.ipynb_checkpoints' not in p.parts), key=lambda p: (len(p.parts), p)
    )


def chapter(name) -> Path:
    "The notebook of that file name, whichever folder it is in."
    return next(p for p in notebooks() if p.name == name)


def code(path: Path) -> list:
    "`(id, source)` of the code cells"
    return [
        (c.get('id', '?'), ''.join(c['source']))
        for c in json.loads(path.read_text(encoding='utf-8'))['cells']
        if c['cell_type'] == 'code'
    ]


def found() -> list:
    "Every check of the notebooks: notebook, position of its cell, labels"
    return [
        dict(nb=p.name, cell=i, line=line, labels=labels)
        for p in notebooks()
        for i, (_, src) in enumerate(code(p))
        for line, labels in split_heads(src)
    ]


# ---- running a cell and listening to what it asserts


def size(x) -> float:
    "The largest absolute value in a number, a tensor, a list or a dict; None when there is none"
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple, set)):
        vs = [size(v) for v in x]
        return None if None in vs else max(vs, default=0.0)
    if hasattr(x, 'detach'):
        x = x.detach().abs().double().max() if x.numel() else 0.0
    try:
        return abs(float(x))
    except (TypeError, ValueError):
        return None


def gap(a, b) -> float:
    "How far two values are apart; inf when they differ and have no distance"
    try:
        return size(a - b)
    except (TypeError, RuntimeError):
        pass
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return max((gap(x, y) for x, y in zip(a, b)), default=0.0)
    try:
        return 0.0 if bool((a == b).all() if hasattr(a == b, 'all') else a == b) else float('inf')
    except (TypeError, RuntimeError, ValueError):
        return float('inf')


class Ear:
    "Hears the comparisons of a check: `(text, error, tolerance, holds)`"

    def __init__(self):
        self.heard, self.labels = [], None

    def note(self, text, error, tol, ok):
        self.heard.append((self.labels, text, error, tol, bool(ok)))

    def below(self, text, a, b, strict):
        with_tensor = a < b if strict else a <= b
        tol = size(b)
        signed = (
            float(a)
            if getattr(a, 'numel', lambda: 1)() == 1 and not isinstance(a, (list, tuple, dict))
            else size(a)
        )
        self.note(text, max(signed, 0.0) if tol is not None else None, tol, with_tensor)

    def holds(self, text, value):
        self.note(text, None, None, value)

    def equal(self, text, a, b):
        g = gap(a, b)
        self.note(text, g, 0.0, g == 0)

    def close(self, text, a, b, eps=1e-5):
        g = gap(a, b)
        self.note(text, g, eps, g is not None and g < eps)

    def raises(self, text, f):
        try:
            f()
        except AssertionError:
            return self.holds(text, False)
        self.holds(text, True)


class Listen(ast.NodeTransformer):
    "Assertions become notes; everything else stays"

    def call(self, kind, text, *args):
        return ast.Call(
            ast.Attribute(ast.Name('__ear__', ast.Load()), kind, ast.Load()),
            [ast.Constant(text), *args],
            [],
        )

    def one(self, test):
        text = ast.unparse(test)
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            op, (left, right) = test.ops[0], (test.left, test.comparators[0])
            if isinstance(op, (ast.Lt, ast.LtE)):
                return self.call('below', text, left, right, ast.Constant(isinstance(op, ast.Lt)))
            if isinstance(op, ast.Eq) and isinstance(right, ast.Constant) and right.value == 0:
                return self.call('equal', text, left, right)
        return self.call('holds', text, test)

    def visit_Assert(self, node):
        parts = (
            node.test.values
            if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
            else [node.test]
        )
        return [ast.Expr(self.one(t)) for t in parts]

    def visit_Expr(self, node):
        c = node.value
        if (
            isinstance(c, ast.Call)
            and isinstance(c.func, ast.Name)
            and c.func.id in ('test_eq', 'test_close')
            and len(c.args) >= 2
        ):
            c = self.call(
                {'test_eq': 'equal', 'test_close': 'close'}[c.func.id], ast.unparse(c), *c.args
            )
            return ast.Expr(c)
        if isinstance(c, ast.Call) and ast.unparse(c.func).startswith('torch.testing.'):
            return ast.Expr(
                self.call(
                    'raises',
                    ast.unparse(c),
                    ast.Lambda(ast.arguments([], [], None, [], [], None, []), c),
                )
            )
        return self.generic_visit(node)


class Deaf(ast.NodeTransformer):
    "Assertions disappear, so that a broken formula travels on to the check that is meant"

    def gone(self, node):
        return ast.Pass()

    visit_Assert = gone

    def visit_Expr(self, node):
        c = node.value
        name = ast.unparse(c.func) if isinstance(c, ast.Call) else ''
        return (
            ast.Pass()
            if re.match(r'test_|expect_fail|torch\.testing\.', name)
            else self.generic_visit(node)
        )

    def visit_With(self, node):
        return (
            ast.Pass()
            if any('expect_fail' in ast.unparse(i.context_expr) for i in node.items)
            else self.generic_visit(node)
        )


def run_cell(src, name, ns, ear=None, deaf=False, only=None):
    "Execute one cell; with an ear its checks (only those with a label in `only`) are listened to"
    src = re.sub(r'^\s*[%!].*$', 'pass', src, flags=re.M)
    heads, body, ns['__ear__'] = split_heads(src), ast.parse(src).body, ear or Ear()
    for node in body:
        labels = next((ids for line, ids in reversed(heads) if line <= node.lineno), None)
        hear = ear and labels and (only is None or set(only) & set(labels))
        if hear:
            ear.labels = labels
            out = Listen().visit(node)
        else:
            out = Deaf().visit(node) if deaf else node
        mod = ast.fix_missing_locations(ast.Module(out if isinstance(out, list) else [out], []))
        exec(compile(mod, name, 'exec'), ns)


def plots_only(src: str) -> bool:
    "A cell that draws and leaves nothing behind that a later cell could need"
    if HEAD.search(src) or '#| export' in src:
        return False
    draws = re.search(r'\bplt\.|\bax\b|simplex\(|heat\(|draw_dag\(', src)
    names = {
        t.id
        for n in ast.walk(ast.parse(re.sub(r'^\s*[%!].*$', 'pass', src, flags=re.M)))
        for t in ast.walk(n)
        if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Store)
    }
    return (
        bool(draws)
        and 'def ' not in src
        and names <= {'fig', 'ax', 'axs', 'k', 'i', 'left', 'right'}
    )


def namespace():
    return {'__name__': '__main__', '__builtins__': __builtins__}


def start(lib=ROOT):
    os.chdir(ROOT / 'nbs')
    sys.path.insert(0, str(lib))
    import warnings

    warnings.filterwarnings('ignore')


def measure(nb: str) -> dict:
    "Run one notebook: what its checks said, which were skipped, and the cell that stopped it"
    start()
    os.chdir(chapter(nb).parent)  # as in Jupyter and in the tests: lessons read what studies left
    ns, heard, skipped, stopped = namespace(), [], [], ''
    for i, (cid, src) in enumerate(code(chapter(nb))):
        heads = split_heads(src)
        if SKIP.search(src):
            if re.search(r'^#\|\s*(slow|cuda|data)', src, re.M) or heads:
                skipped += [x for _, ids in heads for x in ids]
            continue
        if plots_only(src):
            continue
        ear = Ear() if heads else None
        try:
            run_cell(src, f'{nb}:{cid}', ns, ear)
        except Exception as e:
            stopped = f'{cid}: {type(e).__name__}: {e}'
        heard += ear.heard if ear else []
        if stopped:
            break
    return dict(heard=heard, skipped=skipped, stopped=stopped)


def headline(heard: list) -> tuple:
    "The comparison that a check is about: of `err` if there is one, the one nearest to its tolerance"
    ratio = lambda h: (
        float('inf') if h[2] is None or (h[3] == 0 and h[2] > 0) else h[2] / h[3] if h[3] else 0.0
    )
    measured = [h for h in heard if h[3] is not None]
    about = [h for h in measured if re.search(r'\berr', h[1])] or measured
    return max(about, key=ratio) if about else None


def worker(*args):
    "One fresh process; its last line is JSON"
    done = subprocess.run(
        [sys.executable, __file__, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=3600,  # a notebook is run on once for each of its mutations
        cwd=ROOT,
    )
    try:
        return json.loads(done.stdout.strip().rpartition('\n')[2])
    except ValueError:
        return dict(
            heard=[],
            skipped=[],
            stopped=(done.stderr.strip().splitlines() or ['no answer'])[-1],
            results=[],
        )


# ---- tables


def num(x):
    return (
        '-' if x is None else '0' if x == 0 else f'{x:.1e}' if x < 0.01 or x >= 1e3 else f'{x:.3g}'
    )


def table(rows, heads):
    "Columns as wide as their longest entry"
    widths = [
        max(len(str(r[i])) for r in [heads, *rows] if i < len(r))
        for i in range(max(map(len, [heads, *rows])))
    ]
    line = lambda r: '  '.join(str(x).ljust(w) for x, w in zip(r, widths)).rstrip()
    return '\n'.join([line(heads), line(['-' * w for w in widths[: len(heads)]]), *map(line, rows)])


def check() -> int:
    where = found()
    rows, extra, bad, seen = [], [], [], set()
    for nb in sorted({f['nb'] for f in where}):
        out = worker('--run', nb)
        for label in dict.fromkeys(x for f in where if f['nb'] == nb for x in f['labels']):
            heard = [h for h in out['heard'] if h[0] and label in h[0]]
            h, fails, more = headline(heard), [h[1] for h in heard if not h[4]], len(heard) - 1
            status = (
                'SKIPPED'
                if label in out['skipped']
                else (
                    f'NOT REACHED ({out["stopped"]})'
                    if not heard
                    else (
                        f'FAILS: {fails[0]}'
                        if fails
                        else 'no error measured' if h is None else 'ok'
                    )
                )
            )
            ratio = (
                '' if h is None else num(h[2] / h[3]) if h[3] else 'exact' if h[2] == 0 else 'inf'
            )
            key = demanded(label)
            (rows if key else extra).append(
                [
                    label,
                    CHECKS.get(key, 'further check'),
                    num(h and h[2]),
                    num(h and h[3]),
                    ratio,
                    more or '',
                    nb.removesuffix('.ipynb'),
                ]
                + ([] if status == 'ok' else [status])
            )
            if status == 'ok':
                seen.add(key)
            else:
                bad.append(f'{label} ({nb}): {status}')
    order = {k: i for i, k in enumerate(CHECKS)}
    rows.sort(key=lambda r: order[demanded(r[0])])
    heads = ['check', 'what holds', 'error', 'tolerance', 'error/tol', 'more', 'notebook']
    print(table(rows, heads))
    later = {k: v for k, v in LATER.items() if k not in seen}
    missing = [
        k
        for k in CHECKS
        if k not in seen and k not in later and not any(b.startswith(k) for b in bad)
    ]
    if extra:
        print('\nFurther checks in the notebooks\n' + table(extra, heads))
    if later:
        print(
            '\nLater chapters\n'
            + table(
                [[k, CHECKS[k], v] for k, v in later.items()],
                ['check', 'what will hold', 'chapter'],
            )
        )
    for m in missing:
        print(f'MISSING: {m}: {CHECKS[m]}')
    for b in bad:
        print(f'BAD: {b}')
    print(
        f'\n{len(CHECKS)} demanded: {len(seen - {""})} measured and within tolerance, {len(later)} in later chapters, {len(missing)} missing, '
        f'{len(bad)} skipped or failing; {len(extra)} further checks. "more": conditions checked beside the one shown.'
    )
    return len(missing) + len(bad)


# ---- breaking on purpose


def module_of(nb: str) -> Path:
    m = re.search(r'^#\|\s*default_exp\s+(\S+)', '\n'.join(s for _, s in code(chapter(nb))), re.M)
    return Path('dnas_nb', *m[1].split('.')).with_suffix('.py')


def breaks() -> list:
    "The mutations; `check` is one label or several, `in` the notebook of the check where it differs from the one that is changed"
    return [
        b
        | dict(
            check=[b['check']] if isinstance(b['check'], str) else b['check'],
            at=b.get('at', b['file']),
        )
        for b in json.loads(BREAKS.read_text(encoding='utf-8'))
    ]


def outcome(label, ear, error) -> dict:
    "Did the check fail, and where"
    heard = [h for h in ear.heard if h[0] and label in h[0]]
    bad = [h for h in heard if not h[4]]
    h = headline(bad) or (bad[0] if bad else headline(heard))
    how = 'killed' if bad else 'SURVIVES' if heard and not error else f'NOT REACHED: {error}'
    return dict(label=label, how=how, error=h and h[2], tol=h and h[3], text=h[1] if h else '')


def follow(cells, k, b, ns, nb, edit=True) -> list:
    "From cell `k` on, changed as `b` says, to the checks it is meant to break"
    want, out = set(b['check']), []
    for i in range(k, len(cells)):
        cid, src = cells[i]
        if i == k and edit:
            src = src.replace(b['find'], b['replace'])
        labels = [x for _, ids in split_heads(src) for x in ids if x in want]
        if SKIP.search(src) or plots_only(src):
            continue
        ear, error = Ear(), ''
        try:
            run_cell(src, f'{nb}:{cid}', ns, ear if labels else None, deaf=True, only=labels)
        except Exception as e:
            error = f'{type(e).__name__}: {e}'
        out += [outcome(x, ear, error) for x in dict.fromkeys(labels)]
        want -= set(labels)
        if not want:
            break
    return out + [
        dict(label=x, how='NOT REACHED: no such check', error=None, tol=None, text='')
        for x in sorted(want)
    ]


def forked(f) -> list:
    "Run `f` in a copy of this process"
    with tempfile.TemporaryDirectory() as d:
        out = Path(d) / 'out.json'
        if (pid := os.fork()) == 0:
            try:
                out.write_text(json.dumps(f()))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return (
            json.loads(out.read_text())
            if out.exists()
            else [
                dict(label='?', how='NOT REACHED: the process died', error=None, tol=None, text='')
            ]
        )


def break_here(nb: str, lib=ROOT, only=None) -> dict:
    "Every mutation of one notebook that is seen in the same notebook; the part before the change is run once"
    start(lib)
    cells, results, ns = code(chapter(nb)), [], namespace()
    todo = {}
    for n, b in enumerate(breaks()):
        if b['file'] != nb or b['at'] != nb or (only and not set(only) & set(b['check'])):
            continue
        at = [i for i, (_, s) in enumerate(cells) if b['find'] in s]
        if len(at) != 1 or cells[at[0]][1].count(b['find']) != 1:
            results.append(
                [
                    n,
                    [
                        dict(label=x, how='DOES NOT APPLY', error=None, tol=None, text='')
                        for x in b['check']
                    ],
                ]
            )
        else:
            todo.setdefault(at[0], []).append((n, b))
    for i, (cid, src) in enumerate(cells):
        if not todo:
            break
        for n, b in todo.pop(i, []):
            results.append([n, forked(lambda: follow(cells, i, b, ns, nb))])
        if SKIP.search(src) or plots_only(src):
            continue
        ear = Ear()
        run_cell(src, f'{nb}:{cid}', ns, ear, deaf=True)
        if bad := [h for h in ear.heard if not h[4]]:
            results.append(
                [
                    -1,
                    [
                        dict(
                            label=bad[0][0][0],
                            how='FAILS UNBROKEN',
                            error=None,
                            tol=None,
                            text=bad[0][1],
                        )
                    ],
                ]
            )
    return dict(results=results)


def break_there(n: int) -> dict:
    "A mutation of one notebook's module that is seen in a later notebook: in a copy of the package"
    b = breaks()[n]
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(
            ROOT / 'dnas_nb', Path(d) / 'dnas_nb', ignore=shutil.ignore_patterns('__pycache__')
        )
        path = Path(d) / module_of(b['file'])
        text = path.read_text(encoding='utf-8')
        if text.count(b['find']) != 1:
            return dict(
                results=[
                    [
                        n,
                        [
                            dict(label=x, how='DOES NOT APPLY', error=None, tol=None, text='')
                            for x in b['check']
                        ],
                    ]
                ]
            )
        path.write_text(text.replace(b['find'], b['replace']), encoding='utf-8')
        start(d)
        return dict(
            results=[[n, follow(code(chapter(b['at'])), 0, b, namespace(), b['at'], edit=False)]]
        )


def break_all(only=None) -> int:
    todo, results = breaks(), []
    for nb in sorted({b['file'] for b in todo}):
        results += worker('--break-run', nb, *(only or []))['results']
    for n, b in enumerate(todo):
        if b['file'] != b['at'] and (not only or set(only) & set(b['check'])):
            results += worker('--break-there', n)['results']
    got, rows = dict(results), []
    bad = [
        f'{r["label"]}: {r["text"]} fails without any change'
        for n, rs in results
        if n < 0
        for r in rs
    ]
    for n, b in enumerate(todo):
        if only and not set(only) & set(b['check']):
            continue
        for r in got.get(
            n, [dict(label=x, how='NO RESULT', error=None, tol=None, text='') for x in b['check']]
        ):
            rows.append(
                [
                    r['label'],
                    b['broken'],
                    num(r['error']) if r['error'] is not None else '-',
                    num(r['tol']),
                    r['text'][:44],
                    b['file'].removesuffix('.ipynb')
                    + (
                        f', seen in {b["at"].removesuffix(".ipynb")}'
                        if b['at'] != b['file']
                        else ''
                    ),
                ]
                + ([] if r['how'] == 'killed' else [r['how']])
            )
            if r['how'] != 'killed':
                bad.append(f'{r["label"]}: {b["broken"]}: {r["how"]}')
    order = {k: i for i, k in enumerate(CHECKS)}
    rows.sort(key=lambda r: order.get(demanded(r[0]), 999))
    print(
        table(
            rows,
            ['check', 'what is broken', 'error', 'tolerance', 'condition that fails', 'changed'],
        )
    )
    labels = {x for f in found() for x in f['labels'] if demanded(x)}
    killed = {r[0] for r in rows if len(r) == 6}
    never = [] if only else sorted(labels - killed)
    for x in never:
        print(f'NEVER SEEN TO FAIL: {x}')
    for x in bad:
        print(f'BAD: {x}')
    print(
        f'\n{len(todo)} mutations; {len(killed & labels)} of {len(labels)} checks seen to fail; {len(bad)} mutations survive, do not apply or are not reached.'
    )
    return len(never) + len(bad)


def save() -> int:
    "Both commands, printed and kept"
    text, n = [f'Acceptance checks, {datetime.date.today()}. Made by: make checks ARGS=--save'], 0
    for title, f in [
        ('Measured: make checks', check),
        ('Broken on purpose: make checks ARGS=--break', break_all),
    ]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            n += f()
        text.append(f'{title}\n{"="*len(title)}\n{out.getvalue().rstrip()}')
        print(text[-1] + '\n', flush=True)
    (ROOT / 'docs' / 'checks.txt').write_text('\n\n'.join(text) + '\n', encoding='utf-8')
    return n


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        '--break',
        dest='broken',
        action='store_true',
        help='break formulas on purpose; every check has to fail',
    )
    p.add_argument(
        '--save', action='store_true', help='do both and keep what they print in docs/checks.txt'
    )
    p.add_argument('--run', help=argparse.SUPPRESS)
    p.add_argument('--break-run', help=argparse.SUPPRESS)
    p.add_argument('--break-there', type=int, help=argparse.SUPPRESS)
    p.add_argument('only', nargs='*', help='with --break: only these checks')
    a = p.parse_args()
    if a.run:
        return print('\n' + json.dumps(measure(a.run)))
    if a.break_run:
        return print('\n' + json.dumps(break_here(a.break_run, only=a.only)))
    if a.break_there is not None:
        return print('\n' + json.dumps(break_there(a.break_there)))
    if a.save:
        sys.exit(min(save(), 99))
    sys.exit(min(break_all(a.only) if a.broken else check(), 99))


if __name__ == '__main__':
    main()
