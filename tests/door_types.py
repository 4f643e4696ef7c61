"""What people write against the door, for a type checker: read by tests/test_types.py, never run.

A line that must be refused ends in `type: ignore` with the reason; where it is not refused, the comment is unused and that is an error.
"""

from pathlib import Path

from torch import nn
from typing_extensions import assert_type

import dnas_nb as nas
from dnas_nb.data import Data
from dnas_nb.running.evaluate import Trained
from dnas_nb.running.experiment import Result

assert_type(nas.__version__, str)

# a search, its result, and what follows
found = nas.search('runs/first', method='danas', space='toy', data='digits', epochs=3)
assert_type(found, Result)
assert_type(found.genotype, nas.Genotype)
nas.draw(found.genotype)
trained = nas.retrain('runs/first', epochs=10)
assert_type(trained, Trained)
assert_type(nas.export('runs/net', formats='onnx'), str)
nas.predict('runs/net', 'picture.png')
assert_type(nas.report('runs/first'), Path)
nas.study(dict(method=['darts', 'danas'], seed=[0, 1]), 'runs/study')
nas.search(on_epoch=nas.Live())
nas.search(on_epoch=nas.Told(every=5))
watch = nas.Panel()
watch.start(out='runs/held', method='danas')
watch.stop()


# any module
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nas.Mixed('first', plain=nn.Identity(), wide=nn.Conv2d(3, 3, 3, padding=1))

    def forward(self, x):
        return self.first(x)


space = nas.space_of(Net)
assert_type(space, nas.Space)
data = nas.load_data('digits')
assert_type(data, Data)
nas.search(space=space, split=data, derive=nas.within(space, params=1e6))

# values
assert_type(nas.METHODS['darts'], nas.Method)
assert_type(nas.Choice('0→1', ('skip', 'conv')).options, tuple)
nas.parse('|skip_connect~0|', nas.all_spaces()['toy'])
nas.register(method=nas.METHODS['darts'])
nas.SearchClassifier(epochs=2).fit([[0.0]], [0]).predict([[1.0]])
nas.table('digits201')

# refused
nas.serach()  # type: ignore[attr-defined]
nas.Choice()  # type: ignore[call-arg]
nas.Live(clok=None)  # type: ignore[call-arg]
nas.Told(evry=5)  # type: ignore[call-arg]
found.genotyp  # type: ignore[attr-defined]
nas.load_data(2, imagess=3)  # type: ignore[call-arg]
