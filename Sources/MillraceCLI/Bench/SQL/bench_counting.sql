SELECT current_setting('track_functions') <> 'none'
