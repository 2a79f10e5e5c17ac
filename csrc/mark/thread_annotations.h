// Lock discipline that clang's -Wthread-safety checks; nothing under other compilers.
#pragma once

#if defined(__clang__)
#define MARK_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MARK_THREAD_ANNOTATION(x)
#endif

#define CAPABILITY(x) MARK_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY MARK_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) MARK_THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES(...) MARK_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) MARK_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) MARK_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) MARK_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
