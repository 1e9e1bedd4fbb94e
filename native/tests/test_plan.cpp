// A small plan by hand: several callers and several threads at once, what it allocates, and descriptions that
// lie.
#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include "check.h"
#include "plan/isa.h"
#include "plan/plan.h"

namespace {

std::atomic<int> allocations{0};

void* allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  // Whole multiples of the alignment are what aligned_alloc takes.
  const bool possible = size < static_cast<std::size_t>(-1) / 2;
  void* memory = possible ? std::aligned_alloc(alignment, (size / alignment + 1) * alignment) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Every allocation of this program counts; arrays come here too.
void* operator new(std::size_t size) { return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // as stable_sort asks for its buffer
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace sb {
namespace {

constexpr std::size_t kChannels = 70, kSide = 9, kClasses = 10;

struct Weights {
  std::vector<std::uint8_t> conv = std::vector<std::uint8_t>(divide_up(kChannels * kChannels * 9, 8));
  std::vector<std::uint8_t> linear =
      std::vector<std::uint8_t>(divide_up(kClasses * kChannels * kSide * kSide, 8));
  std::vector<std::int32_t> threshold = std::vector<std::int32_t>(kChannels);
  std::vector<std::int8_t> direction = std::vector<std::int8_t>(kChannels);

  Weights() {
    test::Random random(5);
    for (auto& byte : conv) byte = static_cast<std::uint8_t>(random.next() >> 32);
    for (auto& byte : linear) byte = static_cast<std::uint8_t>(random.next() >> 32);
    for (auto& cut : threshold) cut = random.between(-9, 9);
    for (auto& d : direction) d = static_cast<std::int8_t>(random.between(0, 1) * 2 - 1);
  }
};

Tensor tensor(Type type, std::vector<std::size_t> shape, const void* data) {
  return {type, std::move(shape), data};
}

std::vector<NodeDescription> network(const Weights& w) {
  const std::vector<std::int64_t> window = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  NodeDescription conv{"BinaryConv", "conv", {"x"}, {}, {}};
  conv.attributes["window"] = window;
  conv.attributes["filters"] = std::int64_t{kChannels};
  conv.attributes["pad_value"] = std::int64_t{0};
  conv.tensors["weight"] = tensor(Type::kUint8, {w.conv.size()}, w.conv.data());
  NodeDescription bits{"Threshold", "bits", {"conv"}, {}, {}};
  bits.tensors["threshold"] = tensor(Type::kInt32, {kChannels}, w.threshold.data());
  bits.tensors["direction"] = tensor(Type::kInt8, {kChannels}, w.direction.data());
  NodeDescription flat{"Flatten", "flat", {"bits"}, {}, {}};
  NodeDescription linear{"BinaryLinear", "y", {"flat"}, {}, {}};
  linear.attributes["filters"] = std::int64_t{kClasses};
  linear.tensors["weight"] = tensor(Type::kUint8, {w.linear.size()}, w.linear.data());
  return {conv, bits, flat, linear};
}

InputDescription input() {
  Edge edge = with_shape({}, kChannels, kSide, kSide);
  return {"x", as_bits(edge)};
}

std::unique_ptr<Plan> build(const std::vector<NodeDescription>& nodes, const KernelTable& kernels,
                            int threads, std::string& error) {
  return Plan::build({input()}, nodes, "y", kernels, threads, error);
}

void test_threads_agree() {
  const Weights weights;
  constexpr std::size_t kSamples = 6;
  std::vector<std::int8_t> batch(kSamples * kChannels * kSide * kSide);
  test::Random random(6);
  for (auto& value : batch) value = static_cast<std::int8_t>(random.between(0, 1) * 2 - 1);
  std::vector<std::int32_t> expected;
  for (const KernelTable* kernels : usable_kernels())
    for (int threads : {1, 3}) {
      std::string error;
      const auto plan = build(network(weights), *kernels, threads, error);
      CHECK(plan != nullptr);
      if (plan == nullptr) return;
      std::vector<std::vector<std::int32_t>> results(4, std::vector<std::int32_t>(kSamples * kClasses));
      std::vector<std::thread> callers;
      for (auto& result : results)
        callers.emplace_back([&] {
          std::string wrong;
          for (int repeat = 0; repeat < 5; ++repeat) {
            CHECK(plan->run({batch.data()}, 1,  // divides filters, not rows
                            result.data(), wrong));
            CHECK(plan->run({batch.data()}, kSamples, result.data(), wrong));
          }
        });
      for (std::thread& caller : callers) caller.join();
      if (expected.empty()) expected = results[0];
      for (const auto& result : results) CHECK(result == expected);
    }
}

void test_only_the_first_call_allocates() {
  const Weights weights;
  constexpr std::size_t kSamples = 6;
  const std::vector<std::int8_t> batch(kSamples * kChannels * kSide * kSide, 1);
  const std::vector<const void*> inputs = {batch.data()};
  std::vector<std::int32_t> result(kSamples * kClasses);
  for (const KernelTable* kernels : usable_kernels())
    for (int threads : {1, 3}) {
      std::string error;
      const auto plan = build(network(weights), *kernels, threads, error);
      CHECK(plan != nullptr);
      if (plan == nullptr) return;
      const int built = allocations;
      CHECK(plan->run(inputs, kSamples, result.data(), error));
      CHECK(allocations > built);
      const int first = allocations;
      for (std::size_t samples : {kSamples, kSamples, std::size_t{1}})
        CHECK(plan->run(inputs, samples, result.data(), error));
      CHECK(allocations == first);
    }
}

void test_lies_are_refused() {
  const Weights weights;
  const auto refuse = [&](auto change) {
    std::vector<NodeDescription> nodes = network(weights);
    change(nodes);
    std::string error;
    CHECK(build(nodes, kGenericKernels, 1, error) == nullptr);
    CHECK(!error.empty());
  };
  refuse([](auto& nodes) { nodes[0].tensors.clear(); });
  refuse([](auto& nodes) { nodes[0].tensors["weight"].shape = {1}; });
  refuse([](auto& nodes) { nodes[0].attributes["filters"] = std::int64_t{1} << 62; });
  refuse([](auto& nodes) {
    nodes[0].attributes["window"] = std::vector<std::int64_t>(10, std::int64_t{1} << 62);
  });
  refuse([](auto& nodes) { nodes[0].attributes["groups"] = std::int64_t{0}; });
  refuse(
      [](auto& nodes) { nodes[1].tensors["threshold"].shape = {kChannels, static_cast<std::size_t>(-1)}; });
  refuse([](auto& nodes) { nodes[1].inputs = {"y"}; });
  refuse([](auto& nodes) { nodes[3].op = ""; });
  std::string error;
  CHECK(Plan::build({}, {}, "x", kGenericKernels, 1, error) == nullptr);
  CHECK(Plan::build({input()}, {}, "x", kGenericKernels, 0, error) == nullptr);
}

void test_values_out_of_range_are_refused() {
  std::string error;
  const auto plan = Plan::build({input()}, {}, "x", kGenericKernels, 1, error);
  CHECK(plan != nullptr);
  std::vector<std::int8_t> batch(kChannels * kSide * kSide, 1), out(batch.size());
  CHECK(plan->run({batch.data()}, 1, out.data(), error));
  CHECK(batch == out);
  batch[5] = 0;
  CHECK(!plan->run({batch.data()}, 1, out.data(), error));
}

}  // namespace
}  // namespace sb

int main() {
  sb::test_threads_agree();
  sb::test_only_the_first_call_allocates();
  sb::test_lies_are_refused();
  sb::test_values_out_of_range_are_refused();
  return sb::test::finish();
}
