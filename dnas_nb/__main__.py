"`python -m dnas_nb`: what there is, see nbs/running/46_overview.ipynb."

from .running.overview import from_terminal

if __name__ == '__main__':
    from_terminal()
