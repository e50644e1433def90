"""What operators do: run, replay, reports, doctor, demo, reference pages, plugin definitions for Meltano."""
