"""The study of judges of graph networks: how well does a cheap figure order them, and what does it cost?

Protocol, written before any test figure of the table was read:

Question. A judge gives networks of NAS-Bench-Graph a figure. Its fidelity is Kendall's tau between its
figures and the table's, its price the seconds of the processor that it takes per network, on one
core. Wanted on Cora: tau >= 0.5 at <= 2 seconds.

Samples. `all`: 200 networks drawn without replacement from the 26,206 (`torch.randperm` of a
generator with seed 200 for Cora, 201 for Citeseer). `top`: 100 of the best tenth by the table's
validation accuracy (seeds 300 and 301). tau of `top` is what counts at the end of a search.

Tuning. Settings of all judges (width, epochs, rate, dropout, what is taken as the figure) are chosen
on Citeseer alone, on other samples (seeds 1 to 9) and other seeds of training (0 to 9), by tau with
the table's validation accuracy of Citeseer. Reported are seeds of training from 10 on. Nothing is
chosen by figures of Cora, so Cora tells what the settings are worth on a graph that was not seen.

Order. Reported first are taus with validation accuracies; the taus with test accuracies are
computed last, once, from the stored figures of the judges, and nothing is changed after.
A judge sees the training and the validation nodes and never the test nodes' classes.

Ceiling. The table holds means over three trainings. How well do its own validation accuracies
order its test accuracies (all networks, and both samples)? And how well does the benchmark's own
protocol, trained again by us with one seed (`alone`; 20 networks, for it takes two minutes a network)?

Intervals. 95 %, by drawing the networks of a sample again with replacement (2,000 times).

What it does (each goes on where it was stopped, `--graphs cora` and `--seeds 10,11` say which):
`python nbs/studies/fidelity_graphs/run.py judges` writes judges.csv: one row per graph, sample, judge
and seed with the figures of all networks of the sample beside the seconds per network.
`... surrogate` writes brief_GRAPH.csv: many random networks with their brief figures.
"""
