"""``python -m consumer`` is ``comment-consumer``."""

from consumer.commands.main import main

raise SystemExit(main())
