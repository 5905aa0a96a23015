#include "tools/onnx.hpp"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/observer.hpp"
#include "engine/ops.hpp"
#include "engine/ops/attributes.hpp"
#include "engine/tape.hpp"

namespace posetape::tools {
namespace {

std::vector<Index> dims_of(const Shape& shape) {
  std::vector<Index> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return dims;
}

onnx::TensorProto tensor_proto(const std::string& name, std::span<const Index> dims,
                               onnx::TensorProto::DataType type, std::string_view values) {
  onnx::TensorProto proto;
  for (const Index d : dims) proto.add_dims(d);
  proto.set_data_type(type);
  proto.set_name(name);
  proto.set_raw_data(std::string(values));
  return proto;
}

onnx::TensorProto::DataType type_of(const Tensor& tensor) {
  return tensor.dtype() == DType::i32 ? onnx::TensorProto::INT32 : onnx::TensorProto::FLOAT;
}

onnx::ValueInfoProto value_info(const std::string& name, const Tensor& tensor,
                                const std::string& what) {
  onnx::ValueInfoProto proto;
  proto.set_name(name);
  proto.set_doc_string(what);
  onnx::TypeProto::Tensor* type = proto.mutable_type()->mutable_tensor_type();
  type->set_elem_type(type_of(tensor));
  for (const Index d : dims_of(tensor.shape())) type->mutable_shape()->add_dim()->set_dim_value(d);
  return proto;
}

// ---- The graph ----

using Names = std::vector<std::string>;
using Ints = std::vector<std::int64_t>;

struct Attribute {
  Attribute(const char* name, std::int64_t value) {
    proto.set_name(name);
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(value);
  }
  Attribute(const char* name, int value) : Attribute(name, std::int64_t{value}) {}
  Attribute(const char* name, double value) {
    proto.set_name(name);
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(static_cast<float>(value));
  }
  Attribute(const char* name, const Ints& values) {
    proto.set_name(name);
    proto.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t v : values) proto.add_ints(v);
  }
  onnx::AttributeProto proto;
};

class Graph : public Observer {
 public:
  explicit Graph(const ParameterList& parameters) {
    for (const auto& entry : parameters.entries()) parameters_[entry.value.id()] = entry.name;
  }

  // What an op is written with: a node of a type, and the name of its one output, or of several.
  std::string node(const char* type, const Names& inputs,
                   const std::vector<Attribute>& attributes = {}) {
    return nodes(type, inputs, 1, attributes)[0];
  }
  Names nodes(const char* type, const Names& inputs, int outputs,
              const std::vector<Attribute>& attributes = {}) {
    onnx::NodeProto& proto = *graph_.add_node();
    proto.set_op_type(type);
    for (const std::string& name : inputs) proto.add_input(name);
    Names names;
    for (int i = 0; i < outputs; ++i) names.push_back(fmt::format("value.{}", values_++));
    for (const std::string& name : names) proto.add_output(name);
    proto.set_name(fmt::format("{}.{}", type, values_));
    for (const Attribute& a : attributes) *proto.add_attribute() = a.proto;
    return names;
  }
  std::string number(double value) { return constant(Tensor::full({}, value, DType::f32)); }
  std::string ints(const Ints& values) {
    const std::string name = fmt::format("constant.{}", constants_++);
    const Index size[] = {std::ssize(values)};
    *graph_.add_initializer() =
        tensor_proto(name, size, onnx::TensorProto::INT64, bytes(std::span(values)));
    return name;
  }
  std::string reshape(const std::string& x, const Ints& shape) {
    return node("Reshape", {x, ints(shape)});
  }
  std::string transpose(const std::string& x, const Ints& order) {
    return node("Transpose", {x}, {{"perm", order}});
  }

  void input(const std::string& name, const Tensor& tensor, const std::string& what) {
    *graph_.add_input() = value_info(name, tensor, what);
    remember(tensor, name);
  }
  void output(const std::string& name, const Tensor& tensor, const std::string& what) {
    onnx::NodeProto same;
    same.set_op_type("Identity");
    same.add_input(name_of(tensor));
    same.add_output(name);
    *graph_.add_node() = same;
    *graph_.add_output() = value_info(name, tensor, what);
  }
  onnx::GraphProto& proto() { return graph_; }

  void after_forward(const Node& node, Tensors inputs, Tensors outputs) override;

 private:
  template <class T>
  static std::string_view bytes(std::span<T> values) {
    return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
  }
  void remember(const Tensor& tensor, const std::string& name) {
    names_[tensor.id()] = name;
    computed_.push_back(tensor);
  }
  std::string constant(const Tensor& tensor, std::string name = {});
  std::string name_of(const Tensor& tensor);

  onnx::GraphProto graph_;
  int values_ = 0;
  int constants_ = 0;
  std::unordered_map<std::uint64_t, std::string> parameters_;
  std::unordered_map<std::uint64_t, std::string> names_;
  // Whose memory is not to be used again.
  std::vector<Tensor> computed_;
  std::vector<Tensor> constant_;
};

std::string Graph::constant(const Tensor& tensor, std::string name) {
  if (name.empty()) name = fmt::format("constant.{}", constants_++);
  const std::vector<Index> dims = dims_of(tensor.shape());
  *graph_.add_initializer() =
      tensor.dtype() == DType::i32
          ? tensor_proto(name, dims, type_of(tensor), bytes(tensor.values<std::int32_t>()))
          : tensor_proto(name, dims, type_of(tensor), bytes(tensor.values<float>()));
  return name;
}

std::string Graph::name_of(const Tensor& tensor) {
  if (!tensor.defined()) return "";
  if (const auto known = names_.find(tensor.id()); known != names_.end()) return known->second;
  for (const Tensor& other : computed_) {
    if (&other.storage() == &tensor.storage()) {
      fail("ONNX: an alias of what was computed is an input of an op; use reshape() or slice()");
    }
  }
  const auto parameter = parameters_.find(tensor.id());
  const std::string name =
      constant(tensor, parameter != parameters_.end() ? parameter->second : "");
  names_[tensor.id()] = name;
  constant_.push_back(tensor);
  return name;
}

// ---- How ops are written ----

using Writer = Names (*)(Graph&, const Node&, const Names& in);

const Shape& shape_of(const Node& node, std::size_t input) {
  return node.inputs[input].shape;
}

std::string activated(Graph& g, const std::string& x, Activation activation) {
  switch (activation) {
    case Activation::gelu: {  // x / 2 (1 + erf(x / sqrt 2))
      const std::string erf =
          g.node("Erf", {g.node("Mul", {x, g.number(std::numbers::sqrt2 / 2)})});
      const std::string half = g.node("Mul", {x, g.number(0.5)});
      return g.node("Mul", {half, g.node("Add", {erf, g.number(1)})});
    }
    case Activation::silu:
      return g.node("Mul", {x, g.node("Sigmoid", {x})});
    default:
      return x;
  }
}

Names write_linear(Graph& g, const Node& node, const Names& in) {
  std::string y = g.node("MatMul", {in[0], g.transpose(in[1], {1, 0})});
  if (!in[2].empty()) y = g.node("Add", {y, in[2]});
  return {activated(g, y, node.attributes.as<LinearAttributes>().activation)};
}

Names write_layer_norm(Graph& g, const Node& node, const Names& in) {
  const Shape& shape = shape_of(node, 0);
  std::string s = in[0];
  if (!in[3].empty()) s = g.node("Add", {s, in[3]});
  if (!in[4].empty()) {  // rows in groups, each with its shift
    const Index groups = shape_of(node, 4)[0];
    const std::string rows = g.reshape(s, {groups, -1, shape.back()});
    const std::string shift = g.reshape(in[4], {groups, 1, shape.back()});
    s = g.reshape(g.node("Add", {rows, shift}), dims_of(shape));
  }
  const double eps = node.attributes.as<LayerNormAttributes>().eps;
  return {g.node("LayerNormalization", {s, in[1], in[2]}, {{"axis", -1}, {"epsilon", eps}}), s};
}

// The local term, whose weight is the node's input number `first`; bias, table and part follow it.
std::string local_term(Graph& g, const Node& node, const Names& in, std::size_t first,
                       double scale) {
  const Shape& weight = shape_of(node, first);
  const Index width = weight[0];
  const std::string v = g.nodes("Split", {in[0]}, 3, {{"axis", 3}})[2];
  const std::string kernel = g.reshape(in[first], {width, 1, weight[1], weight[2]});
  const std::string convolved =
      g.node("Conv", {g.transpose(v, {0, 3, 1, 2}), kernel, in[first + 1]},
             {{"group", width}, {"pads", Ints{1, 1, 1, 1}}});
  const std::string local = g.transpose(convolved, {0, 2, 3, 1});
  if (in[first + 2].empty()) return local;
  const Shape& table = shape_of(node, first + 2);
  const std::string parts = g.node("Gather", {in[first + 2], in[first + 3]});
  const std::string half =
      g.node("Tile", {g.node("Mul", {parts, g.number(scale)}), g.ints({1, width / 2 / table[1]})});
  const std::string padded = g.node("Pad", {half, g.ints({0, 0, 0, width - width / 2})});
  return g.node("Add", {local, padded});
}

Names write_structure_embedding(Graph& g, const Node& node, const Names& in) {
  return {local_term(g, node, in, 1, node.attributes.as<double>())};
}

// q, k and v, in turn for each half of the channels where both axes have one: [B, N, J, H, W] with
// the axis that is attended along brought beside the channels.
Names write_axial_attention(Graph& g, const Node& node, const Names& in) {
  const auto attributes = node.attributes.as<AttentionAttributes>();
  const AttentionShape& s = attributes.shape;
  const Names qkv = g.nodes("Split", {in[0]}, 3, {{"axis", 3}});
  const int segments = static_cast<int>(s.segments());
  std::vector<Names> parts;
  for (const std::string& x : qkv) {
    parts.push_back(segments == 1 ? Names{x} : g.nodes("Split", {x}, segments, {{"axis", 3}}));
  }
  Names out;
  for (int i = 0; i < segments; ++i) {
    const bool space = s.is_space(i);
    const auto heads = [&](std::size_t which, const Ints& order) {
      const std::string& x = parts[which][static_cast<std::size_t>(i)];
      return g.transpose(g.reshape(x, {s.batch, s.frames, s.joints, s.heads, -1}), order);
    };
    const Ints rows = space ? Ints{0, 1, 3, 2, 4} : Ints{0, 2, 3, 1, 4};
    const Ints columns = space ? Ints{0, 1, 3, 4, 2} : Ints{0, 2, 3, 4, 1};
    const Ints back = space ? Ints{0, 1, 3, 2, 4} : Ints{0, 3, 1, 2, 4};
    const std::string q = g.node("Mul", {heads(0, rows), g.number(s.scale)});
    const std::string scores = g.node("MatMul", {q, heads(1, columns)});
    const std::string p = g.node("Softmax", {scores}, {{"axis", -1}});
    const std::string o = g.transpose(g.node("MatMul", {p, heads(2, rows)}), back);
    out.push_back(g.reshape(o, {s.batch, s.frames, s.joints, s.width / segments}));
  }
  const std::string all = segments == 1 ? out[0] : g.node("Concat", out, {{"axis", 3}});
  if (in.size() > 2) {
    return {g.node("Add", {all, local_term(g, node, in, 2, attributes.local_scale)})};
  }
  return {in[1].empty() ? all : g.node("Add", {all, in[1]})};
}

// p x + q y, with a p and a q for each of the first dimension.
Names write_blend(Graph& g, const Node& node, const Names& in) {
  Ints column(static_cast<std::size_t>(shape_of(node, 1).rank()), 1);
  column[0] = -1;
  return {g.node("Add", {g.node("Mul", {g.reshape(in[0], column), in[1]}),
                         g.node("Mul", {g.reshape(in[2], column), in[3]})})};
}

Names write_scale(Graph& g, const Node& node, const Names& in) {
  const auto [factor, offset] = node.attributes.as<ScaleAttributes>();
  const std::string y = g.node("Mul", {in[0], g.number(factor)});
  return {offset == 0 ? y : g.node("Add", {y, g.number(offset)})};
}

Names write_reshape(Graph& g, const Node& node, const Names& in) {
  return {g.reshape(in[0], dims_of(node.outputs[0].shape))};
}

Names write_transpose(Graph& g, const Node& node, const Names& in) {
  const auto axes = node.attributes.as<TransposeAttributes>();
  return {g.transpose(in[0], Ints(axes.begin(), axes.begin() + shape_of(node, 0).rank()))};
}

Names write_slice(Graph& g, const Node& node, const Names& in) {
  const auto [axis, begin] = node.attributes.as<SliceAttributes>();
  const Index end = begin + node.outputs[0].shape[axis];
  return {g.node("Slice", {in[0], g.ints({begin}), g.ints({end}), g.ints({axis})})};
}

Names write_concat(Graph& g, const Node& node, const Names& in) {
  return {g.node("Concat", in, {{"axis", node.attributes.as<int>()}})};
}

Names write_broadcast_to(Graph& g, const Node& node, const Names& in) {
  return {g.node("Expand", {in[0], g.ints(dims_of(node.outputs[0].shape))})};
}

Names write_gelu(Graph& g, const Node&, const Names& in) {
  return {activated(g, in[0], Activation::gelu)};
}

Names write_silu(Graph& g, const Node&, const Names& in) {
  return {activated(g, in[0], Activation::silu)};
}

Names write_softmax(Graph& g, const Node&, const Names& in) {
  return {g.node("Softmax", {in[0]}, {{"axis", -1}})};
}

struct Form {
  Op op;
  Writer writer = nullptr;
  const char* type = nullptr;  // instead of a writer: a node of this type with the same inputs
};
constexpr Form kForms[] = {
    {Op::linear, write_linear},
    {Op::layer_norm, write_layer_norm},
    {Op::axial_attention, write_axial_attention},
    {Op::structure_embedding, write_structure_embedding},
    {Op::blend, write_blend},
    {Op::scale, write_scale},
    {Op::reshape, write_reshape},
    {Op::transpose, write_transpose},
    {Op::slice, write_slice},
    {Op::concat, write_concat},
    {Op::broadcast_to, write_broadcast_to},
    {Op::softmax, write_softmax},
    {Op::gelu, write_gelu},
    {Op::silu, write_silu},
    {Op::gather, nullptr, "Gather"},
    {Op::add, nullptr, "Add"},
    {Op::sub, nullptr, "Sub"},
    {Op::mul, nullptr, "Mul"},
    {Op::div, nullptr, "Div"},
    {Op::relu, nullptr, "Relu"},
    {Op::exp, nullptr, "Exp"},
    {Op::log, nullptr, "Log"},
    {Op::sqrt, nullptr, "Sqrt"},
    {Op::tanh, nullptr, "Tanh"},
    {Op::sigmoid, nullptr, "Sigmoid"},
};

void Graph::after_forward(const Node& node, Tensors inputs, Tensors outputs) {
  const auto found = std::ranges::find(kForms, node.op, &Form::op);
  if (found == std::end(kForms)) fail("ONNX: the op {} has no form there", form(node));
  for (const Tensor& out : outputs) {
    if (out.dtype() != DType::f32) {
      fail("ONNX: {} gives {}; networks are written in f32", name(node.op), name(out.dtype()));
    }
  }
  Names in;
  for (const Tensor& x : inputs) in.push_back(name_of(x));
  const Names made = found->writer != nullptr ? found->writer(*this, node, in)
                                              : Names{this->node(found->type, in)};
  for (std::size_t i = 0; i < outputs.size(); ++i) remember(outputs[i], made[i]);
}

}  // namespace

std::string to_onnx(const OnnxModel& model, const ParameterList& parameters,
                    const std::function<Tensor(std::span<const Tensor>)>& f) {
  Graph graph(parameters);
  graph.proto().set_name(model.name);
  std::vector<Tensor> inputs;
  for (const OnnxInput& input : model.inputs) {
    graph.input(input.name, input.example, input.what);
    inputs.push_back(input.example);
  }
  const NoRecording off;
  graph.output(model.output, f(inputs), model.output_is);
  onnx::ModelProto file;
  file.set_ir_version(8);
  file.set_producer_name("posetape");
  onnx::OperatorSetIdProto& operators = *file.add_opset_import();
  operators.set_domain("");
  operators.set_version(17);
  *file.mutable_graph() = std::move(graph.proto());
  for (const auto& [key, value] : model.metadata) {
    onnx::StringStringEntryProto& entry = *file.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return file.SerializeAsString();
}

}  // namespace posetape::tools
