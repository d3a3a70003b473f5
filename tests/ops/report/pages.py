"""Reads a report's page as a browser would, as far as loading is concerned."""

from html.parser import HTMLParser

LOADING = {"src", "href", "srcset", "data", "action", "poster"}


class Page(HTMLParser):
    """Elements, text outside scripts, and everything that would be loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.policy = ""
        self.text = ""
        self._silent = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent = tag in {"script", "style"}
        self.loads += [(tag, value) for name, value in attrs if name in LOADING]
        named = dict(attrs)
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data


def assert_self_contained(html: str) -> Page:
    """Fail if the page asks for anything but itself."""
    page = Page(html)
    assert page.loads == []
    assert not {"link", "iframe", "object", "embed", "img"} & set(page.tags)
    assert "@import" not in html[: html.index("</style>")]
    assert "url(" not in html[: html.index("</style>")]
    assert page.policy.startswith("default-src 'none';")
    assert "http" not in page.policy
    return page
