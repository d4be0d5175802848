"""`python -m scripts.reference`: writes the reference pages, and says which of them have changed."""

from __future__ import annotations

from scripts.reference.pages import FOLDER, pages

if __name__ == "__main__":
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"written: {path}")
