"Package metadata: every value comes from settings.ini."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
licences = {'apache2': ('Apache Software License 2.0', 'OSI Approved :: Apache Software License')}
statuses = ['0 - Unset', '1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable']
minor = int(cfg['min_python'].split('.')[1])
extras = 'dev', 'study', 'motif', 'ray', 'export', 'augment', 'completion', 'live', 'tensorboard', 'wandb', 'mlflow'
words = lambda key: cfg.get(key, '').split()
lines = lambda key: [s.strip() for s in cfg[key].split('\n') if s.strip()]


def long_description() -> str:
    "README.md as PyPI shows it: there a relative link leads nowhere, so links and pictures become addresses of this release."
    readme = here/'README.md'
    if not readme.exists(): return cfg['description']
    at = f'v{cfg["version"]}'
    text = re.sub(r'^<!--.*?-->\s*', '', readme.read_text(encoding='utf-8'))
    text = re.sub(r'(!\[[^\]]*\])\((?!\w+:|#)', rf'\1({cfg["git_url"].replace("github.com", "raw.githubusercontent.com")}/{at}/', text)
    return re.sub(r'(\[[^\]]*\])\((?!\w+:|#)', rf'\1({cfg["git_url"]}/blob/{at}/', text)


docs = cfg['doc_host'] + cfg['doc_baseurl']
setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=words('keywords'),
    author=cfg['author'], author_email=cfg['author_email'], license=licences[cfg['license']][0], url=cfg['git_url'],
    project_urls={'Documentation': docs, 'Source': cfg['git_url'], 'Issues': f'{cfg["git_url"]}/issues',
                  'Changelog': f'{cfg["git_url"]}/blob/{cfg["branch"]}/CHANGELOG.md'},
    classifiers=[f"Development Status :: {statuses[int(cfg['status'])]}",
                 *(f'Intended Audience :: {a}' for a in lines('audience')), *(f'Topic :: {t}' for t in lines('topics')),
                 f"License :: {licences[cfg['license']][1]}", f"Natural Language :: {cfg['language']}",
                 'Operating System :: OS Independent', 'Framework :: Jupyter', 'Typing :: Typed']
                + [f'Programming Language :: Python :: 3.{m}' for m in range(minor, 14)],
    packages=find_packages(include=['dnas_nb', 'dnas_nb.*']), include_package_data=True,
    package_data={'dnas_nb': ['data/*', 'tables/*', 'py.typed', '*.pyi']},
    python_requires=f">={cfg['min_python']}", install_requires=words('requirements'),
    extras_require={k: words(f'{k}_requirements') for k in extras},
    entry_points={'console_scripts': cfg['console_scripts'].split('\n'), 'nbdev': ['dnas_nb=dnas_nb._modidx:d']},
    long_description=long_description(), long_description_content_type='text/markdown', zip_safe=False,
)
