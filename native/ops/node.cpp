#include "ops/node.h"

#include <algorithm>
#include <cmath>

#include "base/memory.h"

namespace sb {
namespace {

constexpr std::int64_t kMaxGeometry = 1 << 27;
// Most weights that lists or a codebook may unfold to (packed/weights.py).
constexpr std::size_t kMaxCoded = std::size_t{1} << 28;

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

template <class T>
constexpr Type type_of() {
  if constexpr (std::is_same_v<T, float>) return Type::kFloat32;
  if constexpr (std::is_same_v<T, std::int32_t>) return Type::kInt32;
  if constexpr (std::is_same_v<T, std::int8_t>) return Type::kInt8;
  return Type::kUint8;
}

std::size_t product(const std::vector<std::size_t>& sizes) {
  std::size_t total = 1;
  for (std::size_t size : sizes) total = saturating_product({total, size});
  return total;
}

// Number of windows along one axis, or 0 when the window does not fit.
std::size_t windows(std::int64_t size, std::int64_t before, std::int64_t after, std::int64_t kernel,
                    std::int64_t stride, std::int64_t dilation) {
  const std::int64_t reach = (kernel - 1) * dilation;
  const std::int64_t room = size + before + after - reach - 1;
  if (before > reach || after > reach || room < 0) return 0;
  return static_cast<std::size_t>(room / stride + 1);
}

}  // namespace

std::size_t Tensor::size() const { return product(shape); }

std::string check_edge(const Edge& edge) {
  if (edge.channels < 1 || edge.height < 1 || edge.width < 1)
    return "a size of " + describe(edge) + " is not positive";
  if (saturating_product({edge.channels, edge.height, edge.width}) > kMaxElements)
    return describe(edge) + " has more than " + std::to_string(kMaxElements) + " values";
  if (edge.vector && edge.positions() != 1) return "a vector has no height or width";
  if (edge.kind == Kind::kImage && edge.vector) return "an image has three dimensions";
  if (edge.kind == Kind::kBits && edge.planes != 1 && edge.planes != 2) return "bits have 1 or 2 planes";
  if (edge.integral() && !(-kInt32Max <= edge.low && edge.low <= edge.high && edge.high <= kInt32Max))
    return "integers from " + std::to_string(edge.low) + " to " + std::to_string(edge.high) +
           " do not fit in 32 bits";
  if (edge.kind == Kind::kReal && edge.format == Format::kInt16 &&
      !(edge.step > 0 && std::isfinite(edge.step)))
    return "the format int16 needs a positive step";
  return {};
}

bool NodeReader::fail(const std::string& message) {
  if (error_.empty()) error_ = "node '" + node_.name + "' (" + node_.op + "): " + message;
  return false;
}

bool NodeReader::expect_inputs(std::size_t least, std::size_t most) {
  return expect(least <= edges_.size() && edges_.size() <= most,
                "cannot take " + std::to_string(edges_.size()) + " inputs");
}

const Attribute* NodeReader::attribute(const char* name) {
  const auto found = node_.attributes.find(name);
  return found == node_.attributes.end() ? nullptr : &found->second;
}

std::int64_t NodeReader::integer(const char* name, std::int64_t low, std::int64_t high,
                                 std::optional<std::int64_t> absent) {
  const Attribute* found = attribute(name);
  if (found == nullptr && absent.has_value()) return *absent;
  const auto* value = found == nullptr ? nullptr : std::get_if<std::int64_t>(found);
  if (value == nullptr || *value < low || *value > high) {
    fail(std::string(name) +
         (value == nullptr ? " is missing or no integer" : " is " + std::to_string(*value)) + ", allowed " +
         std::to_string(low) + ".." + std::to_string(high));
    return low;
  }
  return *value;
}

double NodeReader::real(const char* name, std::optional<double> absent) {
  const Attribute* found = attribute(name);
  if (found == nullptr && absent.has_value()) return *absent;
  double value = NAN;
  if (found != nullptr && std::holds_alternative<double>(*found)) value = std::get<double>(*found);
  if (found != nullptr && std::holds_alternative<std::int64_t>(*found))
    value = static_cast<double>(std::get<std::int64_t>(*found));
  if (!(std::abs(value) <= 3.4028234e38)) {
    fail(std::string(name) + " is missing or not a finite number");
    return 1;
  }
  return value;
}

bool NodeReader::flag(const char* name) {
  const Attribute* found = attribute(name);
  if (found == nullptr) return false;
  if (const auto* value = std::get_if<bool>(found)) return *value;
  fail(std::string(name) + " is not true or false");
  return false;
}

std::size_t NodeReader::choice(const char* name, const std::vector<std::string>& choices) {
  const Attribute* found = attribute(name);
  if (found == nullptr) return 0;
  if (const auto* text = std::get_if<std::string>(found)) {
    const auto place = std::find(choices.begin(), choices.end(), *text);
    if (place != choices.end()) return static_cast<std::size_t>(place - choices.begin());
  }
  fail(std::string(name) + " is not one of its choices");
  return 0;
}

Window NodeReader::window() {
  const Attribute* found = attribute("window");
  const auto* v = found == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(found);
  if (!expect(v != nullptr && v->size() == 10, "window is not 10 integers")) return {};
  for (std::size_t i = 0; i < 10; ++i) {
    const bool padding = i >= 4 && i < 8;
    if (!expect((*v)[i] >= (padding ? 0 : 1) && (*v)[i] <= kMaxGeometry,
                "window has the value " + std::to_string((*v)[i]) + " at place " + std::to_string(i)))
      return {};
  }
  if (!expect(!edges_.empty() && !input().vector, "a window needs an input of (channels, height, width)"))
    return {};
  Window w;
  const auto at = [&](std::size_t i) { return static_cast<std::size_t>((*v)[i]); };
  w.kernel_y = at(0), w.kernel_x = at(1), w.stride_y = at(2), w.stride_x = at(3);
  w.top = at(4), w.left = at(5), w.bottom = at(6), w.right = at(7), w.dilation_y = at(8),
  w.dilation_x = at(9);
  const auto height = static_cast<std::int64_t>(input().height),
             width = static_cast<std::int64_t>(input().width);
  w.out_height = windows(height, (*v)[4], (*v)[6], (*v)[0], (*v)[2], (*v)[8]);
  w.out_width = windows(width, (*v)[5], (*v)[7], (*v)[1], (*v)[3], (*v)[9]);
  expect(w.out_height > 0 && w.out_width > 0, "the window does not fit its input " + describe(input()));
  expect(saturating_product({w.kernel_y, w.kernel_x}) <= kMaxElements, "the window has too many taps");
  return ok() ? w : Window{};
}

const Tensor* NodeReader::tensor(const char* name) {
  const auto found = node_.tensors.find(name);
  if (found == node_.tensors.end() || found->second.data == nullptr) {
    fail(std::string("tensor '") + name + "' is missing");
    return nullptr;
  }
  return &found->second;
}

template <class T>
std::vector<T> NodeReader::array(const char* name, const std::vector<std::size_t>& shape) {
  const Tensor* found = tensor(name);
  if (found == nullptr) return {};
  if (!expect(found->type == type_of<T>(), std::string("tensor '") + name + "' has the wrong dtype"))
    return {};
  if (!expect(found->shape == shape, std::string("tensor '") + name + "' has shape " +
                                         shape_text(found->shape) + ", expected " + shape_text(shape)))
    return {};
  const T* data = static_cast<const T*>(found->data);
  std::vector<T> values(data, data + found->size());
  if constexpr (std::is_same_v<T, float>) {
    const bool finite = std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
    if (!expect(finite, std::string("tensor '") + name + "' holds a value that is not finite")) return {};
  }
  return values;
}

template std::vector<float> NodeReader::array(const char*, const std::vector<std::size_t>&);
template std::vector<std::int32_t> NodeReader::array(const char*, const std::vector<std::size_t>&);
template std::vector<std::int8_t> NodeReader::array(const char*, const std::vector<std::size_t>&);
template std::vector<std::uint8_t> NodeReader::array(const char*, const std::vector<std::size_t>&);

WeightBits NodeReader::stream(const char* name, std::size_t bits) {
  const Tensor* found = tensor(name);
  if (found == nullptr) return {};
  if (!expect(found->type == Type::kUint8 && found->shape == std::vector<std::size_t>{divide_up(bits, 8)},
              std::string("tensor '") + name + "' does not hold " + std::to_string(bits) + " bits"))
    return {};
  return copy_bits(static_cast<const std::uint8_t*>(found->data), found->size());
}

WeightBits NodeReader::weight_bits(std::size_t filters, std::size_t depth) {
  const std::size_t weights = saturating_product({filters, depth});
  const std::string size = std::to_string(filters) + " filters of " + std::to_string(depth) + " bits";
  if (has("weight.patterns")) {
    const auto taps = static_cast<std::size_t>(integer("weight.taps", 1, kMaxElements));
    const auto width = static_cast<std::size_t>(integer("weight.width", 0, 16));
    expect(weights <= kMaxCoded && depth % taps == 0, "its codebook does not fit " + size);
    if (!ok()) return {};
    const WeightBits patterns = stream("weight.patterns", taps << width);
    const WeightBits index = stream("weight.index", weights / taps * width);
    return ok() ? decode_codebook(patterns, index, taps, width, weights / taps) : WeightBits{};
  }
  if (has("weight.stream")) {
    const Tensor* codes = tensor("weight.stream");
    const std::vector<std::uint8_t> rice = array<std::uint8_t>("weight.rice", {filters});
    const std::vector<std::int32_t> count = array<std::int32_t>("weight.count", {filters});
    expect(codes != nullptr && codes->type == Type::kUint8 && codes->shape.size() == 1,
           "tensor 'weight.stream' is no stream of bytes");
    expect(weights <= kMaxCoded, "its lists do not fit " + size);
    const auto most = static_cast<std::int64_t>(depth);
    for (std::size_t f = 0; ok() && f < filters; ++f)
      expect(count[f] >= 0 && count[f] <= most && (rice[f] & 0x60) == 0,
             "a filter lists more than its weights or has a bad Rice parameter");
    if (!ok()) return {};
    WeightBits bits;
    const std::string wrong =
        decode_gaps(static_cast<const std::uint8_t*>(codes->data), codes->size(), rice, count, depth, bits);
    return expect(wrong.empty(), wrong) ? bits : WeightBits{};
  }
  const Tensor* found = tensor("weight");
  if (found == nullptr) return {};
  if (!expect(found->type == Type::kUint8 && found->shape == std::vector<std::size_t>{divide_up(weights, 8)},
              "tensor 'weight' does not hold " + size))
    return {};
  return copy_bits(static_cast<const std::uint8_t*>(found->data), found->size());
}

Edge NodeReader::output(const Edge& edge) {
  if (!ok()) return edge;
  const std::string wrong = check_edge(edge);
  expect(wrong.empty(), wrong);
  return edge;
}

Edge NodeReader::real_output(const Edge& shape) {
  static const std::vector<std::string> kFormats = {"float32", "float16", "int16"};
  const auto format = static_cast<Format>(choice("format", kFormats));
  const float step = format == Format::kInt16 ? static_cast<float>(real("step")) : 0;
  return output(as_real(shape, format, step));
}

}  // namespace sb
