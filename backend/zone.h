/*
 * zone: the rooms of the vault, and the name of the key that seals what lies in each.
 */
#pragma once

#include <stddef.h>
#include <string.h>

/* Values are on disk. */
enum zone {
	ZONE_NONE = 0, /* the root itself and what belongs to no room */
	ZONE_LANDING = 1,
	ZONE_RAW = 2,
	ZONE_TRUSTED = 3,
	ZONE_STAGING = 4, /* drafts written straight into Trusted, quarantined uploads */
};

/* "Landing", "Raw", "Trusted" as they stand below the root; "staging" and "" for those without a directory. */
static inline const char *zone_name(enum zone zone) {
	switch (zone) {
	case ZONE_LANDING:
		return "Landing";
	case ZONE_RAW:
		return "Raw";
	case ZONE_TRUSTED:
		return "Trusted";
	case ZONE_STAGING:
		return "staging";
	case ZONE_NONE:
		break;
	}
	return "";
}

/* The room that a path of the vault ("Landing/a.csv", "Landing") is in; ZONE_NONE for any other. */
static inline enum zone zone_of_path(const char *path) {
	size_t length = strcspn(path, "/");
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++)
		if (strlen(zone_name(zone)) == length && memcmp(path, zone_name(zone), length) == 0)
			return zone;
	return ZONE_NONE;
}

/*
 * Name of the zone's key in the keyring; NULL for ZONE_NONE. What waits in staging is sealed under Landing's key, so
 * that who holds only Trusted's can't read what has not passed; publication seals it anew.
 */
static inline const char *zone_key_name(enum zone zone) {
	switch (zone) {
	case ZONE_LANDING:
	case ZONE_STAGING:
		return "landing";
	case ZONE_RAW:
		return "raw";
	case ZONE_TRUSTED:
		return "trusted";
	case ZONE_NONE:
		break;
	}
	return NULL;
}
