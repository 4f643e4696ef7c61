"What a study has measured, a row of a CSV file each: written as it comes, read when it goes on."

import csv


def rows_of(path) -> list:
    "What is written already"
    if not path.exists():
        return []
    with path.open(newline='') as f:
        return list(csv.DictReader(f))


def add(path, row):
    "One row more; its first columns are shown"
    new = not path.exists()
    with path.open('a', newline='') as f:
        writer = csv.DictWriter(f, row, lineterminator='\n')
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(*list(row.values())[:9], flush=True)
