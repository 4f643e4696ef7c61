"Package metadata: every value comes from settings.ini."
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
words = lambda key: cfg.get(key, '').split()

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], author_email=cfg['author_email'], license=licences[cfg['license']][0], url=cfg['git_url'],
    classifiers=[f"Development Status :: {statuses[int(cfg['status'])]}", f"Intended Audience :: {cfg['audience']}",
                 f"License :: {licences[cfg['license']][1]}", f"Natural Language :: {cfg['language']}"]
                + [f'Programming Language :: Python :: 3.{m}' for m in range(minor, 14)],
    packages=find_packages(include=['dnas_nb', 'dnas_nb.*']), include_package_data=True, package_data={'dnas_nb': ['data/*', 'tables/*']},
    python_requires=f">={cfg['min_python']}", install_requires=words('requirements'),
    extras_require={k: words(f'{k}_requirements') for k in ('dev', 'study', 'motif', 'ray', 'export', 'augment')},
    entry_points={'console_scripts': cfg['console_scripts'].split('\n'), 'nbdev': ['dnas_nb=dnas_nb._modidx:d']},
    long_description=(here/'README.md').read_text(encoding='utf-8') if (here/'README.md').exists() else cfg['description'],
    long_description_content_type='text/markdown', zip_safe=False,
)
