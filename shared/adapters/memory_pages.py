"""In-memory twin of the pages of books."""

import json
from collections import defaultdict
from collections.abc import Iterator

from shared.domain.canonical import canonical
from shared.domain.pages import BookPage, Place


class MemoryPageStore:
    """Implements PageStore."""

    def __init__(self) -> None:
        self.books: dict[tuple[str, int], dict[Place, BookPage]] = defaultdict(dict)

    def put(self, page: BookPage) -> bool:
        """Keeps a page; tells whether it is new."""
        pages = self.books[page.book, page.shard]
        if page.place in pages:
            return False
        # Through JSON, as a real store would.
        pages[page.place] = BookPage.of(json.loads(canonical(page.to_dict())))
        return True

    def last(self, book: str, shard: int, before: Place | None = None) -> BookPage | None:
        """Returns the newest page of a book in a shard, of those before a place."""
        return next(self.pages(book, shard, before=before, newest_first=True), None)

    def pages(
        self,
        book: str,
        shard: int,
        *,
        after: Place | None = None,
        before: Place | None = None,
        newest_first: bool = False,
    ) -> Iterator[BookPage]:
        """Returns the pages between two places, without those at them."""
        pages = self.books[book, shard]
        found = [
            pages[place]
            for place in sorted(pages, reverse=newest_first)
            if (after is None or place > after) and (before is None or place < before)
        ]
        return iter(found)
