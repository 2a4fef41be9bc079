"""What a backtest scored, kept while it learns and told in the end: in a table, as JSON, and as pages of HTML.

``scorecard`` has the figures, and ``course`` how they went over the input, from ``blocks``, ``time_to_learn``,
``calibration``, ``confusion`` and ``surprising``. ``report`` makes a page of them with ``charts`` and
``report_tables``; ``compare_reports`` takes two of them, of which ``evaluation`` says which one is better.
What the service loop tells its observers is another thing: ``online_lstm.telemetry``.
"""
