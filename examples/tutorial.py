"""PyTorch's autograd tutorial, cell by cell; only the import's right-hand side differs."""

# [1] One linear layer and its loss. `x` and `y` are data; `w` and `b` are what training would change, so they
# ask for gradients. From here on every operation that touches them is also recorded.
import arcgrad as torch

x = torch.ones(5)  # input tensor
y = torch.zeros(3) # expected output
w = torch.randn(5, 3, requires_grad=True)
b = torch.randn(3, requires_grad=True)
z = torch.matmul(x, w) + b
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)

# [2] A result remembers the operation it came from: the entrance to the graph behind it.
print('Gradient function for z =',z.grad_fn)
print('Gradient function for loss =', loss.grad_fn)

# [3] One call walks that graph from the loss back to the leaves and leaves each derivative in `.grad`.
# Every row of w's gradient is the same because every entry of x is one.
loss.backward()
print(w.grad)
print(b.grad)

# [4] Where no derivative will be asked for, recording can be switched off: nothing is kept, and it is faster.
z = torch.matmul(x, w)+b
print(z.requires_grad)

with torch.no_grad():
    z = torch.matmul(x, w)+b
print(z.requires_grad)

# [5] `detach` cuts a single tensor loose from its history instead.
z = torch.matmul(x, w)+b
z_det = z.detach()
print(z_det.requires_grad)

# [6] An output that is not a scalar has a Jacobian instead of a gradient; `backward(v)` gives the product of v
# with it. Calls add to `.grad`, so the second doubles it, and the third starts again from zero.
inp = torch.eye(5, requires_grad=True)
out = (inp+1).pow(2)
out.backward(torch.ones_like(inp), retain_graph=True)
print("First call\n", inp.grad)
out.backward(torch.ones_like(inp), retain_graph=True)
print("\nSecond call\n", inp.grad)
inp.grad.zero_()
out.backward(torch.ones_like(inp), retain_graph=True)
print("\nCall after zeroing gradients\n", inp.grad)
