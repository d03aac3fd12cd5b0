"""Loading objects of any kind by their ids, for expansion."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.domain.documents import Document, Scope
from shared.domain.ports import DocumentStore
from shared.wire import objects, setups

BATCH_MAX = 100

Json = Mapping[str, Any]
# Reads and renders up to BATCH_MAX objects of one kind; those not in the scope are left out.
Source = Callable[[Sequence[str], Scope], Mapping[str, Json]]


class Loader:
    """Loads rendered objects, choosing their source by the prefix of their ids.

    Args: sources: by prefix without underscore, such as "cus".
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)

    def load(self, object_id: str, scope: Scope) -> Json | None:
        """Returns one object, or None when the scope has none of this id."""
        return self.load_many([object_id], scope).get(object_id)

    def load_many(self, object_ids: Sequence[str], scope: Scope) -> dict[str, Json]:
        """Returns the objects that the scope has, by id; one read per kind and batch."""
        by_prefix: dict[str, list[str]] = {}
        for object_id in dict.fromkeys(object_ids):
            by_prefix.setdefault(object_id.partition("_")[0], []).append(object_id)
        found: dict[str, Json] = {}
        for prefix, ids in by_prefix.items():
            source = self._sources.get(prefix)
            if source is None:
                continue
            for start in range(0, len(ids), BATCH_MAX):
                found.update(source(ids[start : start + BATCH_MAX], scope))
        return found


def document_source(documents: DocumentStore, render: Callable[[Document], Json]) -> Source:
    """Makes the source of a kind that is kept as documents."""

    def read(object_ids: Sequence[str], scope: Scope) -> Mapping[str, Json]:
        found = documents.get_many(object_ids)
        return {
            object_id: render(document)
            for object_id, document in found.items()
            if document.scope == scope
        }

    return read


def document_sources(documents: DocumentStore) -> dict[str, Source]:
    """Makes the sources of the documents that other objects name, by id prefix."""
    renderers: Mapping[str, Callable[[Document], Json]] = {
        "cus": objects.customer,
        "pm": objects.payment_method,
        "setatt": setups.setup_attempt,
        "seti": setups.setup_intent,
    }
    return {prefix: document_source(documents, render) for prefix, render in renderers.items()}
