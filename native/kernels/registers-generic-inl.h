// A word as a register. Included inside an anonymous namespace.

struct Lanes64 {
  using T = uint64_t;
  static constexpr size_t kBytes = 8;
  static T load(const void* p) { return *(const T*)p; }
  static void store(void* p, T a) { *(T*)p = a; }
  static T fill(uint64_t word) { return word; }
  static T both(T a, T b) { return a & b; }
  static T either(T a, T b) { return a | b; }
  static T differ(T a, T b) { return a ^ b; }
  static T load_from(const void* p) { return *(const T*)p; }
  static void store_to(void* p, T a) { *(T*)p = a; }
  static T funnel(T a, T b, size_t right) { return (a >> right) | (b << 1 << (63 - right)); }
};
