"""The report of a backtest: figures collected while it learns, and written as tables, JSON and HTML pages.

``scorecard`` has the figures, and ``learning_curve`` their course over the input, from ``blocks``, ``time_to_learn``,
``calibration``, ``confusion`` and ``top_surprises``. ``html_report`` renders a page with ``charts`` and
``report_tables``. ``compare_reports`` compares two reports, and ``paired_comparison`` decides which one is better.
The events of the service loop are a different subject: ``online_lstm.telemetry``.
"""
