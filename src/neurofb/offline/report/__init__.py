"""A session as one page that answers a reviewer: it opens offline, prints, and claims nothing.

``course`` and ``signals`` read the record, ``earned`` and ``heat`` count, ``facts`` gathers; ``timeline`` and
``figures`` draw, ``sections``, ``accounts`` and ``ends`` say; ``crednf`` fills the checklist.
"""

from __future__ import annotations

from neurofb.offline.report.document import Report, report_of, write_report

__all__ = ["Report", "report_of", "write_report"]
