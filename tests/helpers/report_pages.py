"""What tests of the report share: a run of a few rows, the elements of a page, and a name that tries to get out."""

import json
from html.parser import HTMLParser

CONFIG = {"fitness": "error", "population": 4}


class Page(HTMLParser):
    """The elements of a page, the text of its scripts, and every address that it names."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.addresses, self.title, self.inside = [], [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        if self.inside == "title":
            self.title += data

    @property
    def data(self):
        return json.loads(self.scripts[0])


def bare(folder, config=CONFIG, rows=3):
    """A run of a few rows and nothing else."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    lines = ["gen,nevals,min,avg", *(f"{i},4,{1 / (i + 1)!r},{2 / (i + 1)!r}" for i in range(rows))]
    (folder / "logbook.csv").write_text("\n".join(lines) + "\n")
    return folder


HOSTILE = "</script><script>alert(1)</script><!-- & {{DATA}} \u2028'\""
