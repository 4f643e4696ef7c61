"How package and notebooks read: what would be cut off, and what is said twice."
import reading


def test_no_line_is_cut_off_and_every_name_has_one_owner():
    found = reading.faults(reading.read_package())
    assert not found, '\n'.join(found[:20])
