"""Neural networks: detectors and the ROLO recurrent head (torch is imported only here)."""
