"""What the screens show, as plain data made from what a session publishes. Nothing here knows Qt."""
