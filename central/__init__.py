"""The centre: keys, cards, grants, enrolment, ingest, ledger, report. Re-decides nothing yet, proves everything."""
