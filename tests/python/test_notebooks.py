"""The notebooks of docs/notebooks, each run from its first cell to its last; needs nbclient and a kernel."""

from __future__ import annotations

import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"


class Notebooks(unittest.TestCase):
    def test_each_runs_and_shows_what_it_says(self) -> None:
        found = sorted(FOLDER.glob("*.ipynb"))
        self.assertTrue(found)
        for path in found:
            with self.subTest(path.name):
                notebook = nbformat.read(path, as_version=4)
                cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
                self.assertFalse([cell for cell in cells if cell.outputs], "what is kept of a notebook has no outputs")
                NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
                for cell in cells:
                    shown = [output for output in cell.outputs if output.output_type != "stream"]
                    self.assertEqual(len(shown), 1, cell.source)
                pages = [
                    out
                    for cell in cells
                    for out in cell.outputs
                    if "<iframe" in out.get("data", {}).get("text/html", "")
                ]
                self.assertTrue(pages, "no report is shown")


if __name__ == "__main__":
    unittest.main()
