/*
 * fuse: libfuse's low-level header with the version of the interface that this program is written for.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
