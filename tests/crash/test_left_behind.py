"""What a killed process leaves of a file whose bytes another name has brought to the end meanwhile: nothing stays behind."""

from __future__ import annotations

from pathlib import Path

from interlock.connectors.transports import directory
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.connectors.test_drop_folder import ESTATE, UGLY, drop, folder_of, later, result_of


def test_half_a_file_of_rejects_is_removed_when_its_file_turns_out_to_be_a_duplicate(
    db: Database, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, db, Door(db, ESTATE))
    drop(tmp_path, UGLY, "again.csv")
    folder.poll(later())
    drop(tmp_path, UGLY)
    claim = directory.claim(tmp_path, "sales.csv")
    assert claim is not None
    claim.path.with_name(f"{claim.path.name}.rejects.csv.tmp").write_text("row,field")  # and then it was killed

    (result,) = folder.poll(later())

    assert (result.state, result.duplicate_of) == ("duplicate", "again.csv")
    assert list((tmp_path / directory.TAKEN).iterdir()) == []
    assert result_of(tmp_path / "done" / "sales.csv")["state"] == "duplicate"
