"""The command line of structkit, installed as `structkit_cli`.  No arithmetic here, and no torch at import."""
