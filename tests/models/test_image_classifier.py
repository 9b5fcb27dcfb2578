"""Stacks of image blocks tell small images apart."""

import pytest
import torch
import torch.nn.functional as F

from lecture17.layers import ImageAttention
from lecture17.models import IMAGE_BLOCKS, ImageClassifier


def stripes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy 8 × 8 images with one bright row (class 0) or one bright column (class 1) somewhere."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(n, 1, 8, 8, generator=generator)
    classes, place = (torch.randint(top, (n,), generator=generator) for top in (2, 8))
    for image, column, i in zip(images, classes, place, strict=True):
        line = image[0, :, i] if column else image[0, i]
        line += 2
    return images, classes


@pytest.mark.parametrize("pattern", ["V", "S", "A", "C"])
def test_learns_rows_from_columns_and_generalizes(pattern: str) -> None:
    torch.manual_seed(0)
    options = {pattern: {"d_state": 4}} if pattern in "VS" else None
    model = ImageClassifier(2, d_model=16, pattern=pattern, mlp_ratio=2, options=options)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    images, classes = stripes(64, seed=1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for _ in range(20):
        loss = F.cross_entropy(model(images), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    unseen, truth = stripes(200, seed=2)
    with torch.no_grad():
        assert (model(unseen).argmax(-1) == truth).float().mean() > 0.9


def test_wrong_images_and_sizes_are_refused() -> None:
    model = ImageClassifier(10, d_model=16, pattern="VS")
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    with pytest.raises(TypeError, match=r"images has shape \(3, 1, 8, 6\): expected"):
        model(torch.zeros(3, 1, 8, 6))
    with pytest.raises(TypeError, match="parameter 'images'"):
        model(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="image_size is 9 and patch_size 2"):
        ImageClassifier(10, d_model=16, pattern="V", image_size=9)
    with pytest.raises(ValueError, match=r'pattern\[1\] is "M" in "VM": expected one of V \(Vim\), S \(SS2D\)'):
        ImageClassifier(10, d_model=16, pattern="VM")


@pytest.mark.parametrize(("letter", "reach"), [("A", 7), ("C", 1)])
def test_attention_sees_every_patch_and_a_gated_convolution_its_neighbors(letter: str, reach: int) -> None:
    torch.manual_seed(0)
    block, x = IMAGE_BLOCKS[letter](16), torch.randn(1, 8, 8, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(x)[0, 3, 4].sum(), x)
    rows, columns = (gradient[0].abs().sum(-1) > 1e-7).nonzero().unbind(1)
    assert sorted(set(rows.tolist())) == list(range(max(0, 3 - reach), min(7, 3 + reach) + 1))
    assert sorted(set(columns.tolist())) == list(range(max(0, 4 - reach), min(7, 4 + reach) + 1))


def test_attention_is_a_softmax_over_all_patches() -> None:
    torch.manual_seed(0)
    block, x = ImageAttention(4, head_dim=4), torch.randn(1, 2, 3, 4)
    q, k, v = block.in_proj(x).flatten(1, 2).chunk(3, -1)
    expected = block.out_proj((q @ k.mT / 2).softmax(-1) @ v)
    torch.testing.assert_close(block(x).flatten(1, 2), expected)
