"""The report of a session: one HTML page that opens offline and prints, with the CRED-nf checklist beside it.

``spectra``, ``reward_stats``, ``heat`` and ``quality`` count, ``facts`` gathers, ``timeline`` and ``figures`` draw.
Each subject has a function ``…_context`` and a template in ``templates/``; ``document`` joins and writes them.
"""

from __future__ import annotations

from neurofb.offline.report.document import Report, report_of, write_report

__all__ = ["Report", "report_of", "write_report"]
