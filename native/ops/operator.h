// One step of a plan: fills rows of its output from its inputs.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/edge.h"

namespace sb {

// A request for the output rows [first, first + rows), counted through all samples of a batch.
struct Call {
  std::size_t first;
  std::size_t rows;
  const std::byte* const* inputs;  // row `first` of an input that is read by rows, else row 0
  std::byte* output;               // row `first`
  std::byte* scratch;              // operator.scratch(rows) bytes
  std::size_t filter_begin = 0;    // only these filters, where the operator splits them
  std::size_t filter_end = static_cast<std::size_t>(-1);
  std::byte* second = nullptr;  // row `first` of the second output, where there is one

  template <class T>
  const T* in(std::size_t input) const {
    return reinterpret_cast<const T*>(inputs[input]);
  }
  template <class T>
  T* out() const {
    return reinterpret_cast<T*>(output);
  }
};

// A part of an operator's output that one thread computes, and its cost, estimated in nanoseconds.
struct Share {
  std::size_t first, rows;
  std::size_t filter_begin, filter_end;
  double cost;
};

inline constexpr std::size_t kMostShares = 64;

// One way to compute `rows` output rows and its cost, estimated in nanoseconds; `taken` in the cheapest mix.
struct Choice {
  std::string kernel;
  std::size_t rows;
  double cost;
  bool taken;
  // Of a sparse form: the share of rare weights, and the one at which another form would cost as much.
  double density = 0, break_even = 0;
};

class Operator {
 public:
  virtual ~Operator() = default;
  Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Must not throw and must not write outside the requested rows: several threads run it at once.
  virtual void run(const Call& call) const noexcept = 0;
  // Row i of the output needs only row i of this input: such steps join into one pass over memory.
  virtual bool by_rows(std::size_t input) const = 0;
  // An element of this input is read only to make the one at its place, so that the output may lie where it
  // lies.
  virtual bool in_place(std::size_t input) const {
    (void)input;
    return false;
  }
  // Never joined to what comes before it: its time is worth knowing, its filters worth dividing among
  // threads.
  virtual bool begins_step() const { return false; }
  // Requested rows start at a multiple of this, and come in multiples of it.
  virtual std::size_t granule() const { return 1; }
  // Neighbouring rows share work, so that at least this many are best requested at a time.
  virtual std::size_t least_rows() const { return 1; }
  // Rows are best requested this many at a time, or a multiple.
  virtual std::size_t tile_rows() const { return 1; }
  virtual std::size_t scratch(std::size_t rows) const {
    (void)rows;
    return 0;
  }
  // Filters may be computed apart, in multiples of this many; 0: they may not.
  virtual std::size_t filter_granule() const { return 0; }
  // Divides `rows` output rows into parts that threads take one after another and finish at about the same
  // time; how many of at most kMostShares were written to `shares`. 0: it has no plan of its own. Parts hold
  // all filters unless `by_filters`.
  virtual std::size_t divide(std::size_t rows, std::size_t threads, bool by_filters, Share* shares) const {
    (void)rows, (void)threads, (void)by_filters, (void)shares;
    return 0;
  }
  // What this operator can choose from, and chooses.
  virtual std::vector<Choice> choices(std::size_t rows) const {
    (void)rows;
    return {};
  }
  // What the plan calls this way of computing.
  virtual const char* kernel() const { return "plain"; }
};

// A value of the plan under construction.
using Value = int;
inline constexpr Value kNoValue = -1;

struct BinaryProduct;

// Integers that are scale * pixel + offset of the channel, as a normalised image is.
struct PixelLine {
  Value image = kNoValue;
  int scale = 0;
  std::vector<int> offsets;
};

// Pixels whose channels are those of another image: which one each is, or -1 for zeros.
struct PixelChannels {
  Value image = kNoValue;
  std::vector<std::int32_t> from;
};

// The layout of bits that products are computed in: the cheaper one, or always one of them where there is a
// choice.
enum class Layout { kChosen, kPopcount, kPlanes, kMirrored, kSparse };

// What operators need of the plan that is being built.
class Emitter {
 public:
  virtual ~Emitter() = default;
  virtual const KernelTable& kernels() const = 0;
  virtual Layout layout() const = 0;
  virtual const Edge& edge(Value value) const = 0;
  // The value held in another way; inserts a conversion where needed. kBits only from bits.
  virtual Value stored(Value value, Storage storage) = 0;
  // For a flattened map, the map itself (a reader that permutes its weights needs no transposition), else
  // kNoValue.
  virtual Value unflattened(Value value) const = 0;
  virtual Value emit(std::unique_ptr<Operator> op, std::vector<Value> inputs, const Edge& edge,
                     Storage storage) = 0;
  // Registers `value` as the flattened form of the map `source`.
  virtual Value flatten(Value source, const Edge& edge) = 0;
  // Remembers, while the plan is built, what the operator computes that was emitted last.
  virtual void describe_product(std::shared_ptr<const BinaryProduct> product) = 0;
  // What makes `value`, if it was described and nobody but the node at hand reads it; else null.
  virtual const BinaryProduct* sole_product(Value value) = 0;
  // Takes the operator of a sole product out of the plan; the next one emitted stands in its place.
  virtual std::unique_ptr<Operator> take_product() = 0;
  // Remembers, while the plan is built, that a value is a line of pixels, for products that read the pixels.
  virtual void describe_pixels(Value value, PixelLine line) = 0;
  virtual const PixelLine* pixels(Value value) const = 0;
  // Remembers, while the plan is built, that a value is chosen from an image, for readers that choose
  // themselves.
  virtual void describe_channels(Value value, PixelChannels channels) = 0;
  virtual const PixelChannels* channels(Value value) const = 0;
  // Says in the plan why the node at hand does not run on packed bits.
  virtual void explain(std::string why) = 0;
};

}  // namespace sb
