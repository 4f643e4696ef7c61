"What a study has measured, a row of a CSV file each: written as it comes, read when it goes on."

import csv


def rows_of(path) -> list:
    "What is written already"
    if not path.exists():
        return []
    with path.open(newline='') as f:
        return list(csv.DictReader(f))


def write(path, rows):
    "More rows, of the same columns"
    new = not path.exists()
    with path.open('a', newline='') as f:
        writer = csv.DictWriter(f, rows[0], lineterminator='\n')
        if new:
            writer.writeheader()
        writer.writerows(rows)


def add(path, row):
    "One row more; its first columns are shown"
    write(path, [row])
    print(*list(row.values())[:9], flush=True)
