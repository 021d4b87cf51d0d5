"""HTTP: health, metrics, status and a dashboard. Nothing here is imported when `http.bind` is null."""
