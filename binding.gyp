{
  # Two targets: the core as a static library with no Node in it, and the addon over it.
  'target_defaults': {
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
    'cflags_cc': ['-std=c++20', '-O2', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden',
                  '-Wall', '-Wextra', '-Wno-unused-parameter'],
    'include_dirs': ['.'],
  },
  'targets': [
    {
      'target_name': 'c1m_core',
      'type': 'static_library',
      'cflags_cc': ['-Wshadow'],
      'sources': ['<!@(ls native/net/*.cc native/net/linux/*.cc native/poll/*.cc native/mem/*.cc native/conn/*.cc native/exchange/*.cc native/table/*.cc native/features/*/*.cc native/loop/*.cc)'],
    },
    {
      'target_name': 'c1m',
      'dependencies': ['c1m_core'],
      'sources': ['<!@(ls native/binding/*.cc)'],
      # A prebuild must not depend on the C++ library of the machine that it was built on.
      # Nor may its code be unmapped with the last environment that has loaded it: a file thread may still wait for a disk.
      'ldflags': ['-static-libstdc++', '-static-libgcc', '-Wl,-z,nodelete'],
      'defines': ['NAPI_VERSION=8'],
    },
  ],
}
