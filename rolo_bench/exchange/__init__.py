"""Result files of other toolkits, in and out."""
