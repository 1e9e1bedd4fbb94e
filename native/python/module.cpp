// signbit._native: plans for Python. Arrays and descriptions come from Python, which reads the file.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "ops/sparse_filters.h"
#include "plan/isa.h"
#include "plan/plan.h"
#include "plan/transfer.h"

namespace nb = nanobind;

namespace {

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& message) { throw nb::value_error(message.c_str()); }

nb::dlpack::dtype array_type(const sb::Edge& edge) {
  switch (edge.kind) {
    case sb::Kind::kImage:
      return nb::dtype<std::uint8_t>();
    case sb::Kind::kBits:
      return nb::dtype<std::int8_t>();
    case sb::Kind::kInt:
      return nb::dtype<std::int32_t>();
    case sb::Kind::kReal:
      break;
  }
  return nb::dtype<float>();
}

std::size_t size_from(nb::handle value) {
  const auto size = nb::cast<std::int64_t>(value);
  if (size < 1 || size > static_cast<std::int64_t>(sb::kMaxElements)) refuse("a size is not within 1..2^26");
  return static_cast<std::size_t>(size);
}

// {"kind": "bits", "shape": (C, H, W), "planes": 1, "low": -1, "high": 1, "format": "float32", "step": 0.0}
sb::Edge edge_from(const nb::dict& description) {
  const auto kind = nb::cast<std::string>(description["kind"]);
  const auto shape = nb::cast<nb::sequence>(description["shape"]);
  const std::size_t rank = nb::len(shape);
  if (rank != 1 && rank != 3) refuse("a shape has neither one nor three dimensions");
  sb::Edge edge;
  edge.vector = rank == 1;
  edge.channels = size_from(shape[0]);
  if (rank == 3) edge.height = size_from(shape[1]), edge.width = size_from(shape[2]);
  if (kind == "Image") {
    edge.kind = sb::Kind::kImage;
    edge.low = 0, edge.high = 255;
  } else if (kind == "Bits") {
    edge = sb::as_bits(edge, nb::cast<int>(description["planes"]));
  } else if (kind == "Int") {
    edge = sb::as_int(edge, nb::cast<std::int64_t>(description["low"]),
                      nb::cast<std::int64_t>(description["high"]));
  } else if (kind == "Real") {
    // The format of an input was applied where it was made.
    edge = sb::as_real(edge);
  } else {
    refuse("unknown kind of edge '" + kind + "'");
  }
  return edge;
}

sb::Attribute attribute_from(nb::handle value) {
  if (nb::isinstance<nb::bool_>(value)) return nb::cast<bool>(value);
  if (nb::isinstance<nb::int_>(value)) return nb::cast<std::int64_t>(value);
  if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  return nb::cast<std::vector<std::int64_t>>(value);
}

sb::Tensor tensor_from(const Array& array) {
  sb::Tensor tensor;
  if (array.dtype() == nb::dtype<std::uint8_t>())
    tensor.type = sb::Type::kUint8;
  else if (array.dtype() == nb::dtype<std::int8_t>())
    tensor.type = sb::Type::kInt8;
  else if (array.dtype() == nb::dtype<std::int32_t>())
    tensor.type = sb::Type::kInt32;
  else if (array.dtype() == nb::dtype<float>())
    tensor.type = sb::Type::kFloat32;
  else
    refuse("a tensor is neither uint8, int8, int32 nor float32");
  for (std::size_t i = 0; i < array.ndim(); ++i) tensor.shape.push_back(array.shape(i));
  tensor.data = array.size() == 0 ? &tensor : array.data();  // an empty tensor is there, too
  return tensor;
}

// {"op", "name", "inputs", "attributes": {...}, "tensors": {name: array}}; `alive` keeps the arrays.
sb::NodeDescription node_from(const nb::dict& description, std::vector<Array>& alive) {
  sb::NodeDescription node;
  node.op = nb::cast<std::string>(description["op"]);
  node.name = nb::cast<std::string>(description["name"]);
  node.inputs = nb::cast<std::vector<std::string>>(description["inputs"]);
  for (const auto& [key, value] : nb::cast<nb::dict>(description["attributes"]))
    node.attributes.emplace(nb::cast<std::string>(key), attribute_from(value));
  for (const auto& [key, value] : nb::cast<nb::dict>(description["tensors"])) {
    alive.push_back(nb::cast<Array>(value));
    node.tensors.emplace(nb::cast<std::string>(key), tensor_from(alive.back()));
  }
  return node;
}

struct Described {
  std::vector<sb::InputDescription> inputs;
  std::vector<sb::NodeDescription> nodes;
  std::vector<Array> alive;
};

Described describe(const nb::sequence& inputs, const nb::sequence& nodes) try {
  Described described;
  for (nb::handle item : inputs) {
    const auto [name, edge] = nb::cast<std::pair<std::string, nb::dict>>(item);
    described.inputs.push_back({name, edge_from(edge)});
  }
  for (nb::handle item : nodes)
    described.nodes.push_back(node_from(nb::cast<nb::dict>(item), described.alive));
  return described;
} catch (const nb::cast_error&) {
  refuse("a description holds a value of the wrong type");
} catch (nb::python_error& error) {
  if (!error.matches(PyExc_KeyError)) throw;
  refuse("a description lacks one of its fields");
}

sb::Layout layout_from(const std::string& name) {
  if (name == "chosen") return sb::Layout::kChosen;
  if (name == "popcount") return sb::Layout::kPopcount;
  if (name == "bit-planes") return sb::Layout::kPlanes;
  if (name == "mirrored") return sb::Layout::kMirrored;
  if (name == "sparse") return sb::Layout::kSparse;
  refuse("unknown layout '" + name + "'; use chosen, popcount, bit-planes, mirrored or sparse");
}

class PythonPlan {
 public:
  PythonPlan(const nb::sequence& inputs, const nb::sequence& nodes, const std::string& output,
             const std::string& isa, int threads, const std::string& layout) {
    const sb::KernelTable* kernels = sb::find_kernels(isa);
    if (kernels == nullptr) refuse("instruction set '" + isa + "' is not usable here");
    const Described described = describe(inputs, nodes);
    const sb::Layout chosen = layout_from(layout);
    std::string error;
    {
      const nb::gil_scoped_release released;
      plan_ = sb::Plan::build(described.inputs, described.nodes, output, *kernels, threads, error, chosen);
    }
    if (plan_ == nullptr) refuse(error);
  }

  void run(const std::vector<Array>& inputs, Output output) const { run_timed(inputs, output, nullptr); }

  // Per node, the median over `repeats` of the microseconds booked on it.
  std::vector<double> profile(const std::vector<Array>& inputs, Output output, int repeats) const {
    if (repeats < 1 || repeats > 1'000'000)
      refuse("repeats must be 1..1000000, got " + std::to_string(repeats));
    std::vector<std::vector<double>> times(plan_->steps());
    std::vector<double> seconds(plan_->steps());
    for (int i = 0; i < repeats; ++i) {
      std::fill(seconds.begin(), seconds.end(), 0.0);
      run_timed(inputs, output, seconds.data());
      for (std::size_t s = 0; s < seconds.size(); ++s) times[s].push_back(seconds[s]);
    }
    std::vector<double> nodes(plan_->nodes().size(), 0.0);
    for (std::size_t s = 0; s < times.size(); ++s) {
      const auto middle = times[s].begin() + static_cast<std::ptrdiff_t>(times[s].size() / 2);
      std::nth_element(times[s].begin(), middle, times[s].end());
      nodes[plan_->step_node(s)] += *middle * 1e6;
    }
    return nodes;
  }

  nb::list nodes() const {
    nb::list list;
    for (const sb::NodePlan& node : plan_->nodes())
      list.append(nb::make_tuple(node.name, node.op, node.kernel, node.why));
    return list;
  }

  // Per node with a choice: its name, and (kernel, rows, microseconds estimated, taken, density, break-even)
  // of each.
  nb::list choices(std::size_t samples) const {
    nb::list list;
    for (const auto& [node, choices] : plan_->choices(samples)) {
      nb::list ways;
      for (const sb::Choice& way : choices)
        ways.append(
            nb::make_tuple(way.kernel, way.rows, way.cost / 1e3, way.taken, way.density, way.break_even));
      list.append(nb::make_tuple(plan_->nodes()[node].name, ways));
    }
    return list;
  }

  // What the builder inferred for a node: kind, shape, low, high.
  nb::list edges() const {
    static constexpr const char* kNames[] = {"Image", "Bits", "Int", "Real"};
    nb::list list;
    for (const sb::NodePlan& node : plan_->nodes()) {
      const sb::Edge& e = node.edge;
      nb::object shape = nb::make_tuple(e.channels);
      if (!e.vector) shape = nb::make_tuple(e.channels, e.height, e.width);
      list.append(nb::make_tuple(kNames[static_cast<int>(e.kind)], shape, e.low, e.high));
    }
    return list;
  }

 private:
  void run_timed(const std::vector<Array>& inputs, const Output& output, double* seconds) const {
    if (inputs.size() != plan_->inputs().size()) refuse("the plan has another number of inputs");
    const std::size_t samples = output.ndim() > 0 ? output.shape(0) : 0;
    std::vector<const void*> data;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      check(inputs[i], plan_->inputs()[i].edge, samples, "input '" + plan_->inputs()[i].name + "'");
      data.push_back(inputs[i].data());
    }
    check(output, plan_->output(), samples, "output");
    void* result = output.data();
    std::string error;
    bool done = false;
    {
      const nb::gil_scoped_release released;
      done = plan_->run(data, samples, result, error, seconds);
    }
    if (!done) refuse(error);
  }

  template <class AnyArray>
  static void check(const AnyArray& array, const sb::Edge& edge, std::size_t samples,
                    const std::string& what) {
    bool fits = array.dtype() == array_type(edge) && array.ndim() == (edge.vector ? 2 : 4);
    fits = fits && array.shape(0) == samples && array.shape(1) == edge.channels;
    fits = fits && (edge.vector || (array.shape(2) == edge.height && array.shape(3) == edge.width));
    if (!fits) refuse(what + " is not a batch of " + sb::describe(edge));
  }

  std::unique_ptr<sb::Plan> plan_;
};

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const sb::KernelTable* table : sb::usable_kernels()) names.emplace_back(table->name);
  return names;
}

// The constants that choices rest on, by the names of the fields of kernels/bitplane.h and sparse.h.
nb::dict costs(const std::string& isa) {
  const sb::KernelTable* kernels = sb::find_kernels(isa);
  if (kernels == nullptr) refuse("instruction set '" + isa + "' is not usable here");
  const sb::PlaneTable& table = kernels->planes;
  const sb::SparseTable& sparse = sb::sparse_table(*kernels);
  nb::list widths;
  for (std::size_t i = 0; i < table.count; ++i) {
    const sb::PlaneWidth& width = table.widths[i];
    nb::dict one;
    one["lanes"] = width.lanes;
    one["plane_cost"] = width.plane_cost;
    one["group_cost"] = nb::make_tuple(width.group_cost[0], width.group_cost[1]);
    one["input_cost"] = width.input_cost;
    one["mirror_cost"] = width.mirror_cost;
    one["filter_cost"] = sparse.filter_cost[i];
    widths.append(one);
  }
  nb::dict all;
  all["widths"] = widths;
  all["popcount_cost"] = nb::make_tuple(table.popcount_cost[0], table.popcount_cost[1]);
  all["sort_cost"] = table.mirror.sort_cost;
  all["lane_cost"] = sparse.lane_cost;
  all["least_line"] = sb::kLeastLine;
  return all;
}

}  // namespace

NB_MODULE(_native, m) {
  m.def("isas", &isas, "Names of the kernel tables that this machine can run, best first.");
  m.def("costs", &costs, nb::arg("isa"));
  nb::class_<PythonPlan>(m, "Plan")
      .def(nb::init<const nb::sequence&, const nb::sequence&, const std::string&, const std::string&, int,
                    const std::string&>(),
           nb::arg("inputs"), nb::arg("nodes"), nb::arg("output"), nb::arg("isa"), nb::arg("threads"),
           nb::arg("layout") = "chosen")
      .def("run", &PythonPlan::run, nb::arg("inputs"), nb::arg("output"))
      .def("profile", &PythonPlan::profile, nb::arg("inputs"), nb::arg("output"), nb::arg("repeats"))
      .def("nodes", &PythonPlan::nodes)
      .def("choices", &PythonPlan::choices, nb::arg("samples"))
      .def("edges", &PythonPlan::edges);
}
