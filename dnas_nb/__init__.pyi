"What the door offers, for type checkers and editors: written by `make export` from running/door.py."

from .running.experiment import run as search
from .running.retrain import retrain as retrain
from .running.export import export_run as export
from .running.predict import predict as predict
from .running.study import study as study
from .running.compare import compare as compare
from .running.report import report as report
from .running.live import Live as Live
from .running.watch import Panel as Panel
from .running.watch import Told as Told
from .running.estimator import SearchClassifier as SearchClassifier
from .running.estimator import SearchRegressor as SearchRegressor
from .space import Choice as Choice
from .space import Group as Group
from .space import Cell as Cell
from .space import Space as Space
from .space import Stack as Stack
from .modules import Mixed as Mixed
from .modules import Wide as Wide
from .modules import Depth as Depth
from .modules import Gate as Gate
from .modules import space_of as space_of
from .budgets import within as within
from .genotype import Genotype as Genotype
from .data import Data as Data
from .tasks import Task as Task
from .bilevel import Method as Method
from .methods import METHODS as METHODS
from .spaces import all_spaces as all_spaces
from .sources import load_data as load_data
from .bench.tables import load as table
from .plugins import register as register
from .dialects import parse as parse
from .genotype import draw as draw
from .core import UserError as UserError

__version__: str
__all__ = ['search', 'retrain', 'export', 'predict', 'study', 'compare', 'report', 'Live', 'Panel',
           'Told', 'SearchClassifier', 'SearchRegressor', 'Choice', 'Group', 'Cell', 'Space',
           'Stack', 'Mixed', 'Wide', 'Depth', 'Gate', 'space_of', 'within', 'Genotype', 'Data',
           'Task', 'Method', 'METHODS', 'all_spaces', 'load_data', 'table', 'register', 'parse',
           'draw', 'UserError']
