"""Keep Ometria contacts in step with Antavo customers."""

__version__ = "0.1.0"
