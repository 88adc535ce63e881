"""Analyses large archives of clips on many processes or machines, into Parquet tables that grow while it runs."""
