__version__ = "0.2.0"

# the door, see nbs/running/44_door.ipynb: names are looked up when they are used
from .running.door import NAMES as __all__, lookup as __getattr__, offered as __dir__
